/// Which points a request is about: a boolean combination of conditions, as the dialect nests them.
///
/// A point passes when all of `must`, none of `mustNot`, at least one of `should` unless that is empty, and at least
/// `minShould.count` of its conditions hold. An empty filter lets every point pass.
package struct Filter: Sendable, Equatable {
    package var must: [FilterCondition]
    package var should: [FilterCondition]
    package var mustNot: [FilterCondition]
    package var minShould: MinShould?

    package struct MinShould: Sendable, Equatable {
        package var conditions: [FilterCondition]
        package var count: Int

        package init(conditions: [FilterCondition], count: Int) {
            self.conditions = conditions
            self.count = count
        }
    }

    package init(
        must: [FilterCondition] = [], should: [FilterCondition] = [], mustNot: [FilterCondition] = [],
        minShould: MinShould? = nil
    ) {
        self.must = must
        self.should = should
        self.mustNot = mustNot
        self.minShould = minShould
    }
}

/// One condition of a filter.
package indirect enum FilterCondition: Sendable, Equatable {
    /// Some value at the path passes the test. A path that leads through arrays has many values.
    case field(PayloadPath, FieldTest)
    /// The path leads to nothing, to null, or to an empty array.
    case isEmpty(PayloadPath)
    /// The path leads to null.
    case isNull(PayloadPath)
    case hasID([PointID])
    /// The point's id falls into the slice.
    case slice(IDSlice)
    /// The point has a vector in the space of this name.
    case hasVector(String)
    /// Some object in the array at the path passes the filter by itself.
    case nested(PayloadPath, Filter)
    case filter(Filter)
}

/// What a value in a payload is tested for.
package enum FieldTest: Sendable, Equatable {
    /// Equal to one of the values; strings and UUIDs by their text, integers and booleans by value.
    case any([MatchValue])
    /// There is a value, and it is none of these.
    case except([MatchValue])
    /// Contains each token of the text; an unindexed field is split into tokens as an index by default does.
    case text(String)
    /// Contains any token of the text.
    case textAny(String)
    /// Contains the tokens of the text in this order, one after the other.
    case phrase(String)
    /// A string that starts with these bytes.
    case prefix(String)
    case range(NumberRange)
    case datetimeRange(DatetimeRange)
    case geoBoundingBox(GeoBoundingBox)
    case geoRadius(GeoRadius)
    case geoPolygon(GeoPolygon)
    /// The number of values at the path.
    case valuesCount(CountRange)
}

package enum MatchValue: Sendable, Hashable {
    case keyword(String)
    case integer(Int64)
    case bool(Bool)
}

/// Bounds of a number; nil is unbounded.
package struct NumberRange: Sendable, Equatable {
    package var gt, gte, lt, lte: Double?

    package init(gt: Double? = nil, gte: Double? = nil, lt: Double? = nil, lte: Double? = nil) {
        (self.gt, self.gte, self.lt, self.lte) = (gt, gte, lt, lte)
    }

    package func contains(_ value: Double) -> Bool {
        gt.map { value > $0 } ?? true && gte.map { value >= $0 } ?? true && lt.map { value < $0 } ?? true
            && lte.map { value <= $0 } ?? true
    }
}

/// Bounds of a point in time, in microseconds since 1970 UTC; nil is unbounded.
package struct DatetimeRange: Sendable, Equatable {
    package var gt, gte, lt, lte: Int64?

    package init(gt: Int64? = nil, gte: Int64? = nil, lt: Int64? = nil, lte: Int64? = nil) {
        (self.gt, self.gte, self.lt, self.lte) = (gt, gte, lt, lte)
    }

    package func contains(_ value: Int64) -> Bool {
        gt.map { value > $0 } ?? true && gte.map { value >= $0 } ?? true && lt.map { value < $0 } ?? true
            && lte.map { value <= $0 } ?? true
    }
}

/// Bounds of a number of values; nil is unbounded.
package struct CountRange: Sendable, Equatable {
    package var gt, gte, lt, lte: Int?

    package init(gt: Int? = nil, gte: Int? = nil, lt: Int? = nil, lte: Int? = nil) {
        (self.gt, self.gte, self.lt, self.lte) = (gt, gte, lt, lte)
    }

    package func contains(_ value: Int) -> Bool {
        gt.map { value > $0 } ?? true && gte.map { value >= $0 } ?? true && lt.map { value < $0 } ?? true
            && lte.map { value <= $0 } ?? true
    }
}
