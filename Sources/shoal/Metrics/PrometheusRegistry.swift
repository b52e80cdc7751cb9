package import Metrics
import Synchronization

/// The backend of swift-metrics that keeps every instrument in memory for `/metrics`.
///
/// Counters get the suffix `_total` and timers `_seconds`, as Prometheus names them. Two instruments of one name and the
/// same labels are one; a name that is already of another kind is kept, but not rendered.
package final class PrometheusRegistry: MetricsFactory, Sendable {
    enum Kind: String { case counter, gauge, histogram }

    enum Instrument: Sendable {
        case number(NumberInstrument)
        case histogram(HistogramInstrument)
    }

    struct Family: Sendable {
        let kind: Kind
        /// By labels, in order of their names.
        var members: [[Label]: Instrument] = [:]
    }

    struct Label: Hashable, Sendable {
        let name: String
        let value: String
    }

    /// By the family's name as it is rendered.
    private let families = Mutex<[String: Family]>([:])

    package init() {}

    var snapshot: [(name: String, family: Family)] {
        families.withLock { $0.map { (name: $0.key, family: $0.value) } }.sorted { $0.name < $1.name }
    }

    // MARK: - MetricsFactory

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        number(.counter, label, suffix: "_total", dimensions)
    }

    package func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        number(.counter, label, suffix: "_total", dimensions)
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        number(.gauge, label, suffix: "", dimensions)
    }

    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        if aggregate {
            histogram(label, suffix: "", bounds: HistogramInstrument.sizeBounds, dimensions)
        } else {
            number(.gauge, label, suffix: "", dimensions)
        }
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        histogram(label, suffix: "_seconds", bounds: HistogramInstrument.secondsBounds, dimensions)
    }

    // An instrument's values outlive the object that wrote them, as a counter must never go back.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    /// A gauge that nobody sets any more would show a stale value for ever.
    package func destroyMeter(_ handler: any MeterHandler) { forget(handler) }
    package func destroyRecorder(_ handler: any RecorderHandler) { forget(handler) }

    // MARK: - Instruments

    private func number(
        _ kind: Kind, _ label: String, suffix: String, _ dimensions: [(String, String)]
    ) -> NumberInstrument {
        let instrument = instrument(kind, label, suffix: suffix, dimensions) { .number(NumberInstrument()) }
        guard case .number(let number) = instrument else { return NumberInstrument() }
        return number
    }

    private func histogram(
        _ label: String, suffix: String, bounds: [Double], _ dimensions: [(String, String)]
    ) -> HistogramInstrument {
        let instrument = instrument(.histogram, label, suffix: suffix, dimensions) {
            .histogram(HistogramInstrument(bounds: bounds))
        }
        guard case .histogram(let histogram) = instrument else { return HistogramInstrument(bounds: bounds) }
        return histogram
    }

    private func instrument(
        _ kind: Kind, _ label: String, suffix: String, _ dimensions: [(String, String)], make: () -> Instrument
    ) -> Instrument {
        var name = PrometheusText.metricName(label)
        if !suffix.isEmpty, !name.hasSuffix(suffix) { name += suffix }
        let labels = dimensions.map { Label(name: PrometheusText.labelName($0.0), value: $0.1) }
            .sorted { ($0.name, $0.value) < ($1.name, $1.value) }
        return families.withLock { families in
            guard families[name, default: Family(kind: kind)].kind == kind else { return make() }
            if let existing = families[name]?.members[labels] { return existing }
            let made = make()
            families[name, default: Family(kind: kind)].members[labels] = made
            return made
        }
    }

    private func forget(_ handler: AnyObject) {
        families.withLock { families in
            for (name, family) in families where family.kind == .gauge {
                let members = family.members.filter { _, instrument in
                    guard case .number(let number) = instrument else { return true }
                    return number !== handler
                }
                if members.count != family.members.count {
                    families[name]?.members = members
                    return
                }
            }
        }
    }
}
