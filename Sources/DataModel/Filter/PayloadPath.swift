/// A way through the objects and arrays of a payload: `country.cities[].name`.
///
/// A step into an array that names no index goes through all of its elements, also where `[]` is left out at the end.
package struct PayloadPath: Sendable, Hashable, Codable {
    /// As the client wrote it.
    package let text: String

    package init(_ text: String) { self.text = text }
}
