/// Sizes and durations as people write them in `cluster.yaml`: `32GiB`, `250ms`.
package enum Quantities {
    private static let sizeUnits: [(suffix: String, factor: Int)] = [
        ("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1),
    ]
    private static let durationUnits: [(suffix: String, milliseconds: Int)] = [
        ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000),
    ]

    /// Bytes; nil when the text is not a whole number and a unit, or does not fit.
    package static func bytes(_ text: String) -> Int? {
        guard let unit = sizeUnits.first(where: { text.hasSuffix($0.suffix) }) else { return nil }
        return multiply(text.dropLast(unit.suffix.count), by: unit.factor)
    }

    /// The longest unit that needs no fraction.
    package static func text(bytes: Int) -> String {
        let unit = sizeUnits.first { bytes != 0 && bytes.isMultiple(of: $0.factor) }
        return unit.map { "\(bytes / $0.factor)\($0.suffix)" } ?? "\(bytes)B"
    }

    /// Nil when the text is not a whole number and a unit, or does not fit.
    package static func duration(_ text: String) -> Duration? {
        guard let unit = durationUnits.first(where: { text.hasSuffix($0.suffix) }),
            let milliseconds = multiply(text.dropLast(unit.suffix.count), by: unit.milliseconds)
        else { return nil }
        return .milliseconds(milliseconds)
    }

    package static func text(_ duration: Duration) -> String {
        let parts = duration.components
        let milliseconds = Int(parts.seconds) * 1_000 + Int(parts.attoseconds / 1_000_000_000_000_000)
        let unit = durationUnits.last { milliseconds != 0 && milliseconds.isMultiple(of: $0.milliseconds) }
        return unit.map { "\(milliseconds / $0.milliseconds)\($0.suffix)" } ?? "\(milliseconds)ms"
    }

    private static func multiply(_ digits: Substring, by factor: Int) -> Int? {
        let digits = digits.last == " " ? digits.dropLast() : digits
        guard !digits.isEmpty, digits.allSatisfy({ $0.isASCII && $0.isNumber }), let count = Int(digits) else {
            return nil
        }
        let (product, overflow) = count.multipliedReportingOverflow(by: factor)
        return overflow ? nil : product
    }
}
