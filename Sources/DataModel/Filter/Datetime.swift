/// Points in time as payloads and filters write them.
package enum Datetime {
    /// Reads RFC 3339 and what the dialect takes beside it: without a zone (then UTC), without seconds, a date alone, a
    /// blank in place of the `T` or before the zone, a zone without its colon or minutes, and ` UTC`. Digits beyond
    /// microseconds are cut off.
    ///
    /// - Returns: microseconds since 1970 UTC; nil when the text is none of these or names no day of the calendar.
    package static func microseconds(_ text: some Collection<UInt8>) -> Int64? {
        var reader = DigitReader(text)
        while reader.take(" ") {}
        guard let year = reader.number(digits: 4), reader.take("-"), let month = reader.number(digits: 2),
            reader.take("-"), let day = reader.number(digits: 2), let days = days(year, month, day)
        else { return nil }
        guard !reader.isAtEnd else { return days * microsecondsPerDay }
        guard reader.take("T") || reader.take("t") || reader.take(" "), let time = reader.timeOfDay(),
            let offset = reader.zone(), reader.isAtEnd
        else { return nil }
        return days * microsecondsPerDay + time - offset
    }

    package static func microseconds(_ text: String) -> Int64? { microseconds(text.utf8) }

    fileprivate static let microsecondsPerSecond: Int64 = 1_000_000
    fileprivate static let microsecondsPerDay: Int64 = 86_400 * microsecondsPerSecond

    /// Days since 1970 of a date in the Gregorian calendar.
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64? {
        let isLeapYear = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let daysInMonths: [Int64] = [31, isLeapYear ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard (1...12).contains(month), (1...daysInMonths[Int(month) - 1]).contains(day) else { return nil }
        // Years that begin in March have their leap day at the end; 719,468 days lie between 0000-03-01 and 1970-01-01.
        let shifted = month > 2 ? year : year - 1
        let monthsSinceMarch = (month + 9) % 12
        let dayOfYear = (153 * monthsSinceMarch + 2) / 5 + day - 1
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

private struct DigitReader<Text: Collection<UInt8>> {
    private let text: Text
    private var position: Text.Index

    init(_ text: Text) {
        self.text = text
        position = text.startIndex
    }

    var isAtEnd: Bool { position == text.endIndex }
    private var next: UInt8? { isAtEnd ? nil : text[position] }

    mutating func take(_ byte: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: byte) else { return false }
        text.formIndex(after: &position)
        return true
    }

    private mutating func digit() -> Int64? {
        guard let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
        text.formIndex(after: &position)
        return Int64(byte - UInt8(ascii: "0"))
    }

    mutating func number(digits: Int) -> Int64? {
        var value: Int64 = 0
        for _ in 0..<digits {
            guard let digit = digit() else { return nil }
            value = value * 10 + digit
        }
        return value
    }

    /// `hh:mm`, with seconds and a fraction of them if there are any. A leap second is the next minute's first.
    mutating func timeOfDay() -> Int64? {
        guard let hour = number(digits: 2), hour < 24, take(":"), let minute = number(digits: 2), minute < 60 else {
            return nil
        }
        var microseconds = (hour * 60 + minute) * 60 * Datetime.microsecondsPerSecond
        guard take(":") else { return microseconds }
        guard let second = number(digits: 2), second <= 60 else { return nil }
        microseconds += second * Datetime.microsecondsPerSecond
        guard take(".") else { return microseconds }
        guard var digit = digit() else { return nil }
        var unit = Datetime.microsecondsPerSecond / 10
        while true {
            microseconds += digit * unit
            unit /= 10
            guard let following = self.digit() else { return microseconds }
            digit = following
        }
    }

    /// East of UTC, in microseconds; 0 where there is none.
    mutating func zone() -> Int64? {
        if isAtEnd || take("Z") || take("z") { return 0 }
        if take(" "), take("U") { return take("T") && take("C") ? 0 : nil }
        let isWest = take("-")
        guard isWest || take("+"), let hours = number(digits: 2), hours < 24 else { return nil }
        var minutes: Int64 = 0
        if !isAtEnd {
            _ = take(":")
            guard let given = number(digits: 2), given < 60 else { return nil }
            minutes = given
        }
        let offset = (hours * 60 + minutes) * 60 * Datetime.microsecondsPerSecond
        return isWest ? -offset : offset
    }
}
