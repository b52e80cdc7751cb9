import CKernels
import DataModel
import Testing
import VectorIndex

/// The kernels over codes and over raw vectors of less than 32 bits, each set against exact arithmetic.
@Suite struct CodeKernelTests {
    static let dimensions = [1, 3, 8, 31, 32, 33, 63, 64, 65, 100, 384, 769]

    /// One block of rows at an address that is off every boundary but a float's.
    final class Block {
        let base: UnsafeMutableRawPointer
        var table: [UnsafeRawPointer?] { [UnsafeRawPointer(base)] }

        init(bytes: Int) {
            memory = .allocate(byteCount: bytes + 4, alignment: 64)
            base = memory + 4
        }

        private let memory: UnsafeMutableRawPointer

        deinit { memory.deallocate() }
    }

    static func vector(_ dimension: Int, scale: Float, _ generator: inout SeededGenerator) -> [Float] {
        (0..<dimension).map { _ in generator.gaussian() * scale }
    }

    static func dot(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }

    static func squaredDistance(_ a: [Float], _ b: [Float]) -> Double {
        zip(a, b).reduce(0) { $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1)) }
    }

    @Test(arguments: [1, 1e-15, 1e15, Float.leastNormalMagnitude, 0])
    func eightBitCodesAreWithinTheirErrorBoundInEverySet(scale: Float) {
        var generator = SeededGenerator(seed: 31)
        for dimension in Self.dimensions {
            let stride = (dimension + 31) / 32 * 32
            let block = Block(bytes: 256 * (stride + 8))
            let rows = (0..<13).map { _ in Self.vector(dimension, scale: scale, &generator) }
            for (number, row) in rows.enumerated() {
                let codes = (block.base + number * stride).assumingMemoryBound(to: Int8.self)
                let correction = shoal_encode_codes(row, dimension, codes, stride)
                (block.base + 256 * stride + number * 8).storeBytes(of: correction, as: shoal_code_correction.self)
                #expect((0..<stride).allSatisfy { codes[$0] >= -127 })
            }
            let query = Self.vector(dimension, scale: 1, &generator)
            var queryCodes = [Int8](repeating: 1, count: stride)
            let correction = shoal_encode_codes(query, dimension, &queryCodes, stride)
            for set in KernelTests.sets {
                for count in [1, 3, 4, 5, 13] {
                    var dots = [Float](repeating: .nan, count: count + 1)
                    var squares = dots
                    queryCodes.withUnsafeBufferPointer { codes in
                        var prepared = shoal_code_query(codes: codes.baseAddress!, correction: correction)
                        let slots = (0..<count).map { UInt32($0) }
                        set.pointee.code_dot(&prepared, dimension, block.table, stride, slots, count, &dots)
                        set.pointee.code_squared_l2(&prepared, dimension, block.table, stride, slots, count, &squares)
                    }
                    #expect(dots[count].isNaN && squares[count].isNaN, "nothing is written behind the last distance")
                    for (number, row) in rows.prefix(count).enumerated() {
                        // A component is off by at most half a step, plus what the better scale moves it.
                        let rowStep = Double(row.map(abs).max() ?? 0) / 127
                        let queryStep = Double(query.map(abs).max() ?? 0) / 127
                        let bound =
                            queryStep * row.reduce(0) { $0 + Double(abs($1)) }
                            + rowStep * query.reduce(0) { $0 + Double(abs($1)) } + Double(dimension) * rowStep * queryStep
                        let slack = 1e-5 * (1 + Double(dimension) * rowStep * rowStep * 16_129)
                        let name = String(cString: set.pointee.name)
                        #expect(abs(-Double(dots[number]) - Self.dot(query, row)) <= bound + slack, "\(name), \(dimension)")
                        #expect(
                            abs(Double(squares[number]) - Self.squaredDistance(query, row)) <= 2 * bound + 2 * slack,
                            "\(name), \(dimension)")
                    }
                }
            }
        }
    }

    @Test func everySetGivesTheDistancesOfTheScalarOne() {
        var generator = SeededGenerator(seed: 32)
        for dimension in Self.dimensions {
            let padded = (dimension + 63) / 64 * 64
            let strides = (code: (dimension + 31) / 32 * 32, bit: padded / 8)
            let codes = Block(bytes: 256 * (strides.code + 8))
            let bits = Block(bytes: 256 * (strides.bit + 8))
            for offset in 0..<256 * strides.code {
                codes.base.storeBytes(of: Int8.random(in: -127...127, using: &generator), toByteOffset: offset, as: Int8.self)
            }
            for offset in 0..<256 * strides.bit {
                bits.base.storeBytes(of: UInt8.random(in: 0...255, using: &generator), toByteOffset: offset, as: UInt8.self)
            }
            for number in 0..<256 {
                for (block, stride) in [(codes, strides.code), (bits, strides.bit)] {
                    let address = block.base + 256 * stride + number * 8
                    address.storeBytes(of: Float.random(in: 0.5..<1, using: &generator), as: Float.self)
                    address.storeBytes(of: Float.random(in: 0..<9, using: &generator), toByteOffset: 4, as: Float.self)
                }
            }
            let slots = (0..<37).map { _ in UInt32.random(in: 0..<256, using: &generator) }
            let queryCodes = (0..<strides.code).map { _ in Int8.random(in: -127...127, using: &generator) }
            let planes = (0..<Int(SHOAL_BIT_PLANES) * padded / 64).map { _ in generator.next() }
            var expected: [[Float]] = []
            for set in KernelTests.sets {
                let measured = queryCodes.withUnsafeBufferPointer { queryCodes in
                    planes.withUnsafeBufferPointer { planes in
                        var code = shoal_code_query(
                            codes: queryCodes.baseAddress!, correction: .init(scale: 0.01, squared_length: 3))
                        var bit = shoal_bit_query(
                            planes: planes.baseAddress!, lowest: -0.3, step: 0.002, sum: 1.5, bias: 0.7)
                        return [
                            Self.distances(set.pointee.code_dot, &code, codes, strides.code, slots),
                            Self.distances(set.pointee.code_squared_l2, &code, codes, strides.code, slots),
                            Self.distances(set.pointee.bit_dot, &bit, bits, strides.bit, slots),
                            Self.distances(set.pointee.bit_squared_l2, &bit, bits, strides.bit, slots),
                        ]
                    }
                }
                if expected.isEmpty { expected = measured }
                for (a, b) in zip(expected.joined(), measured.joined()) { #expect(abs(a - b) <= 1e-5 * (abs(a) + 10)) }
            }
        }
    }

    static func distances(
        _ kernel: shoal_rows_kernel, _ query: UnsafeRawPointer, _ block: Block, _ stride: Int, _ slots: [UInt32]
    ) -> [Float] {
        var distances = [Float](repeating: .nan, count: slots.count)
        kernel(query, stride, block.table, stride, slots, slots.count, &distances)
        return distances
    }

    @Test func rotationsKeepLengthsAndAnglesAndSpreadEveryComponent() {
        var generator = SeededGenerator(seed: 33)
        for padded in [64, 128, 192, 384, 448, 768, 1_024] {
            let signs = (0..<Int(SHOAL_ROTATION_ROUNDS) * padded / 64).map { _ in generator.next() }
            var a = Self.vector(padded, scale: 1, &generator)
            var b = Self.vector(padded, scale: 1, &generator)
            let before = (Self.dot(a, a), Self.dot(a, b))
            shoal_rotate(&a, padded, signs)
            shoal_rotate(&b, padded, signs)
            #expect(abs(Self.dot(a, a) - before.0) < 1e-3 * before.0)
            #expect(abs(Self.dot(a, b) - before.1) < 1e-3 * before.0)
            for axis in [0, padded / 2, padded - 1] {
                var unit = [Float](repeating: 0, count: padded)
                unit[axis] = 1
                shoal_rotate(&unit, padded, signs)
                let largest = unit.map(abs).max() ?? 1
                #expect(largest < 8 / Float(padded).squareRoot(), "axis \(axis) of \(padded): \(largest)")
            }
        }
    }

    @Test func halfPrecisionRoundsToNearestAndGivesBackWhatItHolds() {
        var halves: [UInt16] = []
        for bits in UInt16.min...UInt16.max where bits & 0x7C00 != 0x7C00 { halves.append(bits) }
        var floats = [Float](repeating: 0, count: halves.count)
        shoal_from_float16(halves, &floats, halves.count)
        for (half, float) in zip(halves, floats) { #expect(float == Float(Float16(bitPattern: half))) }
        var back = [UInt16](repeating: 0, count: halves.count)
        shoal_to_float16(floats, &back, halves.count)
        #expect(back == halves)
        var generator = SeededGenerator(seed: 34)
        let values = (0..<20_000).map { _ in
            Float(bitPattern: UInt32.random(in: 0x3000_0000..<0x477F_0000, using: &generator))
        }
        var rounded = [UInt16](repeating: 0, count: values.count)
        shoal_to_float16(values, &rounded, values.count)
        for (value, half) in zip(values, rounded) { #expect(half == Float16(value).bitPattern) }
        let edges: [Float] = [1e6, -1e6, .infinity, -.infinity]
        var clamped = [UInt16](repeating: 0, count: 4)
        shoal_to_float16(edges, &clamped, 4)
        #expect(clamped == [0x7BFF, 0xFBFF, 0x7BFF, 0xFBFF], "what is too large becomes the largest finite half")
    }

    @Test(arguments: [VectorDatatype.float16, .uint8])
    func smallerTypesAreComparedExactlyInEverySet(datatype: VectorDatatype) {
        var generator = SeededGenerator(seed: 35)
        for dimension in Self.dimensions {
            let stride = dimension * datatype.componentBytes
            let block = Block(bytes: 256 * stride)
            var rows: [[Float]] = []
            for number in 0..<11 {
                var row = [Float](repeating: 0, count: dimension)
                switch datatype {
                case .float16:
                    row = row.map { _ in Float(Float16(generator.gaussian())) }
                    let address = (block.base + number * stride).assumingMemoryBound(to: UInt16.self)
                    shoal_to_float16(row, address, dimension)
                default:
                    row = row.map { _ in Float(UInt8.random(in: 0...255, using: &generator)) }
                    shoal_to_uint8(row, (block.base + number * stride).assumingMemoryBound(to: UInt8.self), dimension)
                }
                rows.append(row)
            }
            let query = Self.vector(dimension, scale: 1, &generator)
            let slots = (0..<11).map { UInt32($0) }
            for set in KernelTests.sets {
                let kernels = datatype == .float16 ? set.pointee.float16 : set.pointee.uint8
                let expected: [(shoal_rows_kernel, ([Float]) -> Double)] = [
                    (kernels.dot, { -Self.dot(query, $0) }),
                    (kernels.squared_l2, { Self.squaredDistance(query, $0) }),
                    (kernels.l1, { zip(query, $0).reduce(0) { $0 + abs(Double($1.0) - Double($1.1)) } }),
                    (kernels.cosine, { -Self.dot(query, $0) / max(Self.dot($0, $0), 1e-30).squareRoot() }),
                ]
                for (kernel, exact) in expected {
                    var distances = [Float](repeating: .nan, count: 12)
                    kernel(query, dimension, block.table, stride, slots, 11, &distances)
                    for (row, distance) in zip(rows, distances) {
                        let size = Double(dimension) * 70_000 + 1
                        #expect(abs(Double(distance) - exact(row)) <= 1e-6 * size)
                    }
                    #expect(distances[11].isNaN)
                }
            }
        }
    }
}
