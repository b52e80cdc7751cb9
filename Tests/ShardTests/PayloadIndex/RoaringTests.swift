import Shard
import Testing

/// Bitmaps against `Set<UInt32>`, over slots that make every kind of container.
struct RoaringTests {
    /// Sparse, dense, in runs, and at the edges of chunks.
    private func randomSlots(_ generator: inout SeededGenerator) -> Set<UInt32> {
        var slots: Set<UInt32> = []
        for chunk in 0..<UInt32(3) where Bool.random(using: &generator) {
            switch Int.random(in: 0..<5, using: &generator) {
            case 0:
                for _ in 0..<Int.random(in: 1..<100, using: &generator) {
                    slots.insert(chunk << 16 | UInt32.random(in: 0..<65_536, using: &generator))
                }
            case 1:
                let share = UInt32.random(in: 2...20, using: &generator)
                for low in 0..<UInt32(65_536) where UInt32.random(in: 0..<20, using: &generator) < share {
                    slots.insert(chunk << 16 | low)
                }
            case 2:
                let first = UInt32.random(in: 0..<60_000, using: &generator)
                for low in first...UInt32.random(in: first..<65_536, using: &generator) {
                    slots.insert(chunk << 16 | low)
                }
            case 3: slots.formUnion([chunk << 16, chunk << 16 | 65_535, chunk << 16 | 63, chunk << 16 | 64])
            default: slots.formUnion(chunk << 16..<(chunk + 1) << 16)
            }
        }
        return slots
    }

    private func slots(_ bitmap: RowBitmap) -> [UInt32] {
        var slots: [UInt32] = []
        bitmap.forEach { slots.append($0) }
        return slots
    }

    @Test(arguments: 0..<40)
    func algebraIsThatOfSets(seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        let (a, b) = (randomSlots(&generator), randomSlots(&generator))
        let (left, right) = (RowBitmap(a.shuffled(using: &generator)), RowBitmap(b))
        #expect(slots(left) == a.sorted())
        #expect(left.count == a.count)
        for (bitmap, set) in [
            (left.union(right), a.union(b)), (left.intersection(right), a.intersection(b)),
            (left.subtracting(right), a.subtracting(b)),
        ] {
            #expect(slots(bitmap) == set.sorted())
            #expect(bitmap.count == set.count)
            #expect(bitmap.isEmpty == set.isEmpty)
            // Whatever way a set came about, its form is the same.
            #expect(bitmap == RowBitmap(set))
        }
        for _ in 0..<1_000 {
            let slot = UInt32.random(in: 0..<300_000, using: &generator)
            #expect(left.contains(slot) == a.contains(slot))
        }
    }

    @Test(arguments: 0..<40)
    func storedContainersComeBackAndAreShort(seed: Int) throws {
        var generator = SeededGenerator(seed: UInt64(1_000 + seed))
        for chunk in RowBitmap(randomSlots(&generator)).chunks {
            let container = chunk.container
            let bytes = ContainerValue.bytes(container)
            #expect(bytes.count <= 4 + min(container.count * 2, 8_192))
            try bytes.withUnsafeBytes { buffer in
                let value = try ContainerValue(buffer)
                #expect(value.count == container.count)
                #expect(value.container == container)
                var builder = RowBitmap.Builder()
                builder.insert(value, chunk: 7)
                #expect(builder.finished().count == container.count)
            }
        }
    }

    @Test func aFullChunkIsOneRun() {
        #expect(ContainerValue.bytes(Container(prefix: 65_536)).count == 8)
    }

    @Test(arguments: [0, 1, 63, 64, 65, 65_535, 65_536, 65_537, 200_000] as [UInt32])
    func prefixesHoldTheFirstSlots(count: UInt32) {
        #expect(slots(RowBitmap(prefix: count)) == Array(0..<count))
    }

    @Test(arguments: 0..<200)
    func damagedContainersAreRefusedOrHoldRowsOfTheirChunk(seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        var bytes = (0..<Int.random(in: 0..<40, using: &generator)).map { _ in
            UInt8.random(in: 0...255, using: &generator)
        }
        if !bytes.isEmpty { bytes[0] %= 4 }
        bytes.withUnsafeBytes { buffer in
            guard let value = try? ContainerValue(buffer) else { return }
            var previous = -1
            value.container.forEach { row in
                #expect(Int(row) > previous)
                previous = Int(row)
            }
        }
    }
}
