import Metrics
import Testing
import shoal

@Suite struct PrometheusTextTests {
    @Test func countersGaugesAndTimersAreRendered() {
        let registry = PrometheusRegistry()
        let requests = Counter(
            label: "shoal_http_requests_total", dimensions: [("status", "200"), ("route", "/a")], factory: registry)
        requests.increment(by: 3)
        Gauge(label: "shoal.open-shards", factory: registry).record(2.5)
        let timer = Metrics.Timer(label: "shoal_query", factory: registry)
        timer.recordNanoseconds(200_000)
        timer.recordNanoseconds(60_000_000_000)
        let lines = PrometheusText.render(registry).split(separator: "\n").map(String.init)

        #expect(lines.contains("# TYPE shoal_http_requests_total counter"))
        #expect(lines.contains { $0.hasPrefix("# HELP shoal_http_requests_total ") })
        #expect(lines.contains(#"shoal_http_requests_total{route="/a",status="200"} 3"#))
        #expect(lines.contains("# TYPE shoal_open_shards gauge"))
        #expect(lines.contains("shoal_open_shards 2.5"))
        #expect(lines.contains("# TYPE shoal_query_seconds histogram"))
        #expect(lines.contains(#"shoal_query_seconds_bucket{le="0.0001"} 0"#))
        #expect(lines.contains(#"shoal_query_seconds_bucket{le="0.00025"} 1"#))
        #expect(lines.contains(#"shoal_query_seconds_bucket{le="30"} 1"#))
        #expect(lines.contains(#"shoal_query_seconds_bucket{le="+Inf"} 2"#))
        #expect(lines.contains("shoal_query_seconds_sum 60.0002"))
        #expect(lines.contains("shoal_query_seconds_count 2"))
    }

    @Test func eachFamilyHasOneHeadAndItsSamplesInOneBlock() {
        let registry = PrometheusRegistry()
        for status in ["500", "200"] {
            Counter(label: "requests", dimensions: [("status", status)], factory: registry).increment()
            Counter(label: "others", dimensions: [("status", status)], factory: registry).increment()
        }
        #expect(
            PrometheusText.render(registry) == """
                # HELP others_total others total
                # TYPE others_total counter
                others_total{status="200"} 1
                others_total{status="500"} 1
                # HELP requests_total requests total
                # TYPE requests_total counter
                requests_total{status="200"} 1
                requests_total{status="500"} 1

                """)
    }

    @Test func theSameNameAndLabelsInAnyOrderAreOneInstrument() {
        let registry = PrometheusRegistry()
        Counter(label: "c", dimensions: [("a", "1"), ("b", "2")], factory: registry).increment()
        Counter(label: "c", dimensions: [("b", "2"), ("a", "1")], factory: registry).increment()
        #expect(PrometheusText.render(registry).contains(#"c_total{a="1",b="2"} 2"#))
    }

    @Test func aNameOfAnotherKindDoesNotSpoilTheFirst() {
        let registry = PrometheusRegistry()
        Gauge(label: "x", factory: registry).record(1)
        Recorder(label: "x", dimensions: [], aggregate: true, factory: registry).record(7)
        let text = PrometheusText.render(registry)
        #expect(text.contains("# TYPE x gauge\nx 1\n"))
        #expect(!text.contains("x_bucket"))
    }

    @Test func labelValuesAreEscaped() {
        let registry = PrometheusRegistry()
        Counter(label: "c", dimensions: [("p-q", "a\"b\\c\nd")], factory: registry).increment()
        #expect(PrometheusText.render(registry).contains(#"c_total{p_q="a\"b\\c\nd"} 1"#))
    }

    @Test(arguments: [("a.b-c", "a_b_c"), ("1x", "_1x"), ("", "_"), ("größe", "gr__e"), ("a:b", "a:b")])
    func namesAreMadeValid(name: String, valid: String) {
        #expect(PrometheusText.metricName(name) == valid)
    }

    @Test(arguments: [
        (0.0, "0"), (3, "3"), (-1.5, "-1.5"), (Double.nan, "NaN"), (.infinity, "+Inf"), (-.infinity, "-Inf"),
        (1e300, "1e+300"),
    ])
    func numbersAreInTheFormatsWords(value: Double, text: String) {
        #expect(PrometheusText.number(value) == text)
    }

    @Test func aDestroyedGaugeIsGoneAndACounterStays() {
        let registry = PrometheusRegistry()
        let gauge = Gauge(label: "g", factory: registry)
        gauge.record(1)
        let counter = Counter(label: "c", factory: registry)
        counter.increment()
        gauge.destroy()
        counter.destroy()
        #expect(PrometheusText.render(registry) == "# HELP c_total c total\n# TYPE c_total counter\nc_total 1\n")
    }

    @Test func theProcessTellsItsFigures() {
        let names = Set(ProcessMetrics.read(version: "1").filter { $0.value > 0 }.map(\.name))
        #expect(
            names.isSuperset(of: [
                "process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds", "shoal_build_info",
            ]))
    }
}
