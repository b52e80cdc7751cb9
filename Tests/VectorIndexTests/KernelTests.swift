import CKernels
import Testing
import VectorIndex

@Suite struct KernelTests {
    static let lengths = Array(1...67) + [384, 768, 1_537]

    static var sets: [UnsafePointer<shoal_kernels>] {
        (0...).lazy.map { shoal_kernels_supported($0) }.prefix { $0 != nil }.compactMap { $0 }
    }

    struct Kernel {
        let pair: shoal_pair_kernel
        let rows: shoal_rows_kernel
        /// What one dimension adds, in double precision.
        let term: (Double, Double) -> Double
    }

    static func kernels(of set: UnsafePointer<shoal_kernels>) -> [Kernel] {
        [
            Kernel(pair: set.pointee.dot, rows: set.pointee.float32.dot) { -$0 * $1 },
            Kernel(pair: set.pointee.squared_l2, rows: set.pointee.float32.squared_l2) { ($0 - $1) * ($0 - $1) },
            Kernel(pair: set.pointee.l1, rows: set.pointee.float32.l1) { abs($0 - $1) },
        ]
    }

    @Test func theBestSetIsSupportedAndScalarAlwaysIs() {
        #expect(String(cString: Self.sets[0].pointee.name) == "scalar")
        #expect(Self.sets.last == shoal_kernels_best())
    }

    @Test(arguments: [1, 1e-20, Float.leastNormalMagnitude / 100, 0])
    func everySetAgreesWithExactArithmeticAtAnyLengthAndAlignment(scale: Float) {
        var generator = SeededGenerator(seed: 7)
        for set in Self.sets {
            for kernel in Self.kernels(of: set) {
                for length in Self.lengths {
                    // One float in front puts the vectors off every boundary but that of floats.
                    let a = (0...length).map { _ in generator.gaussian() * scale }
                    let b = (0...length).map { _ in generator.gaussian() * scale }
                    let terms = (1...length).map { kernel.term(Double(a[$0]), Double(b[$0])) }
                    let expected = terms.reduce(0, +)
                    // Float products of denormals vanish; what is left of the error grows with the terms' size.
                    let tolerance = terms.reduce(0) { $0 + abs($1) } * 1e-6 + 1e-44 * Double(length)
                    let measured = a.withUnsafeBufferPointer { a in
                        b.withUnsafeBufferPointer { b in
                            kernel.pair(a.baseAddress! + 1, b.baseAddress! + 1, length)
                        }
                    }
                    let name = String(cString: set.pointee.name)
                    #expect(abs(Double(measured) - expected) <= tolerance, "\(name), \(length) floats")
                }
            }
        }
    }

    @Test func rowsGiveTheSameBitsAsPairsInAnyNumberAndAcrossBlocks() {
        var generator = SeededGenerator(seed: 8)
        for length in [1, 7, 8, 15, 16, 33, 384, 1_537] {
            // A stride beyond the row's end, and no multiple of a vector register.
            let stride = length * 4 + 12
            let blocks = (0..<3).map { _ in
                let block = UnsafeMutableRawPointer.allocate(byteCount: stride * Column.rowsPerBlock, alignment: 64)
                for row in 0..<Column.rowsPerBlock {
                    for index in 0..<length {
                        let offset = row * stride + index * 4
                        block.storeBytes(of: generator.gaussian(), toByteOffset: offset, as: Float.self)
                    }
                }
                return block
            }
            defer { for block in blocks { block.deallocate() } }
            let table = blocks.map { Optional(UnsafeRawPointer($0)) }
            let query = (0..<length).map { _ in generator.gaussian() }
            for count in 0...19 {
                let slots = (0..<count).map { _ in UInt32.random(in: 0..<768, using: &generator) }
                for set in Self.sets {
                    for kernel in Self.kernels(of: set) {
                        var distances = [Float](repeating: .nan, count: count + 1)
                        kernel.rows(query, length, table, stride, slots, count, &distances)
                        for (index, slot) in slots.enumerated() {
                            let row = blocks[Int(slot) / 256] + Int(slot) % 256 * stride
                            let single = kernel.pair(query, row.assumingMemoryBound(to: Float.self), length)
                            #expect(distances[index].bitPattern == single.bitPattern)
                        }
                        #expect(distances[count].isNaN, "nothing is written behind the last distance")
                    }
                }
            }
        }
    }

    @Test(arguments: [Float(1), 1e30, 1e-30])
    func normalisedVectorsHaveUnitLength(scale: Float) {
        var generator = SeededGenerator(seed: 9)
        for length in Self.lengths {
            var vector = (0..<length).map { _ in generator.gaussian() * scale }
            #expect(normalise(&vector, dimension: length))
            let squared = vector.reduce(0.0) { $0 + Double($1) * Double($1) }
            #expect(abs(squared - 1) < 1e-5)
        }
    }

    @Test func aVectorWithoutDirectionIsLeftAsItIs() {
        for value in [Float(0), .infinity, .nan] {
            var vector = [Float](repeating: value, count: 5)
            #expect(!normalise(&vector, dimension: 5))
            #expect(vector.allSatisfy { $0.bitPattern == value.bitPattern })
        }
    }
}
