import Testing
import shoal

@Suite struct TerminalTests {
    @Test func columnsAreAlignedWithoutTrailingSpaces() {
        var table = TextTable([.init("NODE", .right), .init("STATE"), .init("POINTS", .right), .init("LOG")])
        table.add(["1", "ready", "1,234", "a"])
        table.add(["12", "restarting", "7", ""])
        #expect(
            table.render() == """
                NODE  STATE       POINTS  LOG
                   1  ready        1,234  a
                  12  restarting       7

                """)
    }

    @Test func letterCountsNotBytesMakeTheWidth() {
        var table = TextTable([.init("NAME"), .init("N", .right)])
        table.add(["größe", "1"])
        table.add(["abcde", "2"])
        #expect(table.render() == "NAME   N\ngröße  1\nabcde  2\n")
    }

    @Test(arguments: [(UInt64(0), "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")])
    func largeNumbersAreGrouped(value: UInt64, text: String) {
        #expect(Figures.grouped(value) == text)
    }

    @Test(arguments: [
        (UInt64(0), "0 B"), (999, "999 B"), (1_000, "0.98 KiB"), (1_536, "1.50 KiB"), (20 << 20, "20.0 MiB"),
        (300 << 30, "300 GiB"), (UInt64.max, "16384 PiB"),
    ])
    func bytesHaveThreeDigitsOrSo(value: UInt64, text: String) {
        #expect(Figures.bytes(value) == text)
    }

    @Test func aBarIsAsLongAsTheShareDone() {
        let line = ProgressLine(label: "words/0", done: 512, total: 1_024, bytesPerSecond: 256, detail: "copying")
        #expect(line.bar(width: 10) == "words/0 [#####-----]  50 %  512 B of 1.00 KiB  256 B/s  copying")
        #expect(line.plain == "words/0:  50 %  512 B of 1.00 KiB  256 B/s  copying")
    }

    @Test func moreThanAllIsShownAsAll() {
        #expect(ProgressLine(label: "x", done: 9, total: 3).bar(width: 2) == "x [##] 100 %  9 B of 3 B")
    }

    @Test func theRateIsThatOfTheLastSeconds() {
        let start = ContinuousClock.now
        var rate = TransferRate()
        #expect(rate.bytesPerSecond == nil)
        for second in 0...10 { rate.add(UInt64(second * second) * 100, at: start + .seconds(second)) }
        // From second 7 to second 10: 100 * (100 - 49) / 3.
        #expect(rate.bytesPerSecond == 1_700)
    }
}
