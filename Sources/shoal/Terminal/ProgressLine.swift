/// How far a transfer is: a bar for terminals, a plain line for logs.
package struct ProgressLine: Sendable, Equatable {
    package var label: String
    package var done: UInt64
    /// Zero while it is not known.
    package var total: UInt64
    package var bytesPerSecond: Double?
    package var detail: String

    package init(label: String, done: UInt64, total: UInt64, bytesPerSecond: Double? = nil, detail: String = "") {
        self.label = label
        self.done = done
        self.total = total
        self.bytesPerSecond = bytesPerSecond
        self.detail = detail
    }

    private var fraction: Double { total == 0 ? 0 : min(1, Double(done) / Double(total)) }

    /// `label [#####-----]  52 %  1.2 GiB of 2.3 GiB  210 MiB/s  detail`
    package func bar(width: Int = 24) -> String {
        let filled = Int(fraction * Double(width))
        let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: width - filled)
        return "\(label) [\(bar)] \(figures)"
    }

    /// The same without the bar.
    package var plain: String { "\(label): \(figures)" }

    private var figures: String {
        var parts: [String] = []
        if total > 0 {
            let percent = String(Int(fraction * 100))
            parts.append(String(repeating: " ", count: max(0, 3 - percent.count)) + percent + " %")
            parts.append("\(Figures.bytes(done)) of \(Figures.bytes(total))")
            if let bytesPerSecond, bytesPerSecond > 0 {
                parts.append("\(Figures.bytes(UInt64(min(bytesPerSecond, 1e18))))/s")
            }
        }
        if !detail.isEmpty { parts.append(detail) }
        return parts.joined(separator: "  ")
    }
}
