internal import DataModel

/// Values as unsigned integers of the same order, which big-endian bytes keep.
enum OrderedBits {
    /// Of any number but NaN. Both zeros are one value.
    static func of(_ value: Double) -> UInt64 {
        let bits = (value == 0 ? 0 : value).bitPattern
        return bits >> 63 == 0 ? bits | 1 << 63 : ~bits
    }

    static func of(_ value: Int64) -> UInt64 { UInt64(bitPattern: value) ^ 1 << 63 }

    /// The inclusive bounds of the values in a range; nil when it is empty.
    static func bounds(_ range: NumberRange) -> ClosedRange<UInt64>? {
        // NaN as a bound passes nothing.
        guard [range.gt, range.gte, range.lt, range.lte].allSatisfy({ $0?.isNaN != true }) else { return nil }
        return bounds(gt: range.gt.map(of), gte: range.gte.map(of), lt: range.lt.map(of), lte: range.lte.map(of))
    }

    static func bounds(_ range: DatetimeRange) -> ClosedRange<UInt64>? {
        bounds(gt: range.gt.map(of), gte: range.gte.map(of), lt: range.lt.map(of), lte: range.lte.map(of))
    }

    private static func bounds(gt: UInt64?, gte: UInt64?, lt: UInt64?, lte: UInt64?) -> ClosedRange<UInt64>? {
        if gt == .max || lt == 0 { return nil }
        let lower = max(gt.map { $0 + 1 } ?? 0, gte ?? 0)
        let upper = min(lt.map { $0 - 1 } ?? .max, lte ?? .max)
        return lower <= upper ? lower...upper : nil
    }
}

/// Places as unsigned integers: longitude and latitude in 32 bits each, interleaved (Morton, 1966), so that a square of
/// the map that halving yields is one range. A step is 9 mm or less.
struct GeoCell: Equatable {
    /// Steps from 180° west and from the south pole.
    var x: UInt32
    var y: UInt32

    init(x: UInt32, y: UInt32) { (self.x, self.y) = (x, y) }

    init(_ point: GeoPoint) {
        x = Self.steps(point.longitude, from: -180, extent: 360)
        y = Self.steps(point.latitude, from: -90, extent: 180)
    }

    init(code: UInt64) {
        x = Self.compacted(code >> 1)
        y = Self.compacted(code)
    }

    var code: UInt64 { Self.spread(x) << 1 | Self.spread(y) }

    /// The middle of the cell.
    var point: GeoPoint {
        GeoPoint(
            longitude: (Double(x) + 0.5) * (360 / 4_294_967_296) - 180,
            latitude: (Double(y) + 0.5) * (180 / 4_294_967_296) - 90)
    }

    /// What lies outside the map counts to its edge.
    private static func steps(_ degrees: Double, from origin: Double, extent: Double) -> UInt32 {
        let steps = ((degrees - origin) / extent * 4_294_967_296).rounded(.down)
        return steps >= 4_294_967_295 ? .max : steps > 0 ? UInt32(steps) : 0
    }

    private static func spread(_ value: UInt32) -> UInt64 {
        var bits = UInt64(value)
        bits = (bits | bits << 16) & 0x0000_FFFF_0000_FFFF
        bits = (bits | bits << 8) & 0x00FF_00FF_00FF_00FF
        bits = (bits | bits << 4) & 0x0F0F_0F0F_0F0F_0F0F
        bits = (bits | bits << 2) & 0x3333_3333_3333_3333
        return (bits | bits << 1) & 0x5555_5555_5555_5555
    }

    private static func compacted(_ code: UInt64) -> UInt32 {
        var bits = code & 0x5555_5555_5555_5555
        bits = (bits | bits >> 1) & 0x3333_3333_3333_3333
        bits = (bits | bits >> 2) & 0x0F0F_0F0F_0F0F_0F0F
        bits = (bits | bits >> 4) & 0x00FF_00FF_00FF_00FF
        bits = (bits | bits >> 8) & 0x0000_FFFF_0000_FFFF
        return UInt32(truncatingIfNeeded: bits | bits >> 16)
    }
}
