/// Prometheus' text exposition format, version 0.0.4.
package enum PrometheusText {
    /// Everything in the registry and the values of the process, in order of names.
    package static func render(_ registry: PrometheusRegistry, process: [ProcessMetric] = []) -> String {
        var output = ""
        for (name, family) in registry.snapshot where !family.members.isEmpty {
            header(name, family.kind.rawValue, help: MetricDescriptions.help(for: name), into: &output)
            let members = family.members.sorted { text(of: $0.key) < text(of: $1.key) }
            for (labels, instrument) in members {
                switch instrument {
                case .number(let number): sample(name, labels, number.value, into: &output)
                case .histogram(let histogram): render(histogram, name, labels, into: &output)
                }
            }
        }
        for metric in process {
            header(metric.name, metric.kind.rawValue, help: metric.help, into: &output)
            let labels = metric.labels.map { PrometheusRegistry.Label(name: $0.key, value: $0.value) }
            sample(metric.name, labels.sorted { $0.name < $1.name }, metric.value, into: &output)
        }
        return output
    }

    private static func render(
        _ histogram: HistogramInstrument, _ name: String, _ labels: [PrometheusRegistry.Label], into text: inout String
    ) {
        let snapshot = histogram.snapshot
        var total: UInt64 = 0
        for (index, count) in snapshot.counts.enumerated() {
            total += count
            let bound = index < histogram.bounds.count ? number(histogram.bounds[index]) : "+Inf"
            let bucket = labels + [PrometheusRegistry.Label(name: "le", value: bound)]
            sample("\(name)_bucket", bucket, Double(total), into: &text)
        }
        sample("\(name)_sum", labels, snapshot.sum, into: &text)
        sample("\(name)_count", labels, Double(total), into: &text)
    }

    private static func header(_ name: String, _ type: String, help: String, into text: inout String) {
        let escaped = help.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
        text += "# HELP \(name) \(escaped)\n# TYPE \(name) \(type)\n"
    }

    private static func sample(
        _ name: String, _ labels: [PrometheusRegistry.Label], _ value: Double, into text: inout String
    ) {
        text += "\(name)\(self.text(of: labels)) \(number(value))\n"
    }

    private static func text(of labels: [PrometheusRegistry.Label]) -> String {
        if labels.isEmpty { return "" }
        return "{" + labels.map { "\($0.name)=\"\(escape($0.value))\"" }.joined(separator: ",") + "}"
    }

    // MARK: - Names and values

    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`: any other character becomes an underscore.
    package static func metricName(_ name: String) -> String { sanitise(name, alsoAllowed: ":") }

    /// `[a-zA-Z_][a-zA-Z0-9_]*`.
    package static func labelName(_ name: String) -> String { sanitise(name, alsoAllowed: nil) }

    private static func sanitise(_ name: String, alsoAllowed: Character?) -> String {
        let characters = name.map { character in
            character.isASCII && (character.isLetter || character.isNumber) || character == alsoAllowed
                ? character : "_"
        }
        guard let first = characters.first else { return "_" }
        return first.isNumber ? "_" + String(characters) : String(characters)
    }

    private static func escape(_ value: String) -> String {
        value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }

    /// Whole numbers without a fraction; the format's own words for what is no number.
    package static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        // 2^53: up to here a Double holds every whole number.
        return value == value.rounded() && value.magnitude < 9_007_199_254_740_992 ? "\(Int64(value))" : "\(value)"
    }
}
