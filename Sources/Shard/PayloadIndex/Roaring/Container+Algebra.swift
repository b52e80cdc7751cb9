extension Container {
    package func union(_ other: Container) -> Container {
        switch (self, other) {
        case (.array(let a), .array(let b)):
            return Container(ascending: Self.merged(a, b))
        case (.bits(var words, _), .array(let values)), (.array(let values), .bits(var words, _)):
            for value in values { words[Int(value >> 6)] |= 1 << UInt64(value & 63) }
            return Container(words: words)
        case (.bits(var words, _), .bits(let others, _)):
            for index in words.indices { words[index] |= others[index] }
            return Container(words: words)
        }
    }

    package func intersection(_ other: Container) -> Container {
        switch (self, other) {
        case (.array(let values), _): return .array(values.filter(other.contains))
        case (_, .array(let values)): return .array(values.filter(contains))
        case (.bits(var words, _), .bits(let others, _)):
            for index in words.indices { words[index] &= others[index] }
            return Container(words: words)
        }
    }

    package func subtracting(_ other: Container) -> Container {
        switch (self, other) {
        case (.array(let values), _): return .array(values.filter { !other.contains($0) })
        case (.bits(var words, _), .array(let values)):
            for value in values { words[Int(value >> 6)] &= ~(1 << UInt64(value & 63)) }
            return Container(words: words)
        case (.bits(var words, _), .bits(let others, _)):
            for index in words.indices { words[index] &= ~others[index] }
            return Container(words: words)
        }
    }

    private static func merged(_ a: [UInt16], _ b: [UInt16]) -> [UInt16] {
        // The common case by far: slots are given out in ascending order.
        if let last = a.last, let first = b.first, last < first { return a + b }
        var merged: [UInt16] = []
        merged.reserveCapacity(a.count + b.count)
        var (i, j) = (0, 0)
        while i < a.count, j < b.count {
            let (left, right) = (a[i], b[j])
            merged.append(min(left, right))
            i += left <= right ? 1 : 0
            j += right <= left ? 1 : 0
        }
        merged += a[i...]
        merged += b[j...]
        return merged
    }
}
