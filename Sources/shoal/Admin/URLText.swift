/// Percent-encoding of the parts of a URL.
package enum URLText {
    package static func queryValue(_ text: String) -> String { encode(text) }
    package static func pathComponent(_ text: String) -> String { encode(text) }

    /// Everything but the unreserved characters of RFC 3986, section 2.3.
    private static func encode(_ text: String) -> String {
        text.utf8.map { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                String(UnicodeScalar(byte))
            default:
                "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }.joined()
    }
}
