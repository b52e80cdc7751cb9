internal import DataModel

/// A filter made ready to be run on many rows: paths are split and values sorted out once.
///
/// It reads payloads as they are stored: what an index says of a filter is what this says, found quicker.
struct FilterProgram: Sendable {
    private let root: Clause

    /// - Parameters:
    ///   - schema: knows the vector spaces that conditions name.
    ///   - tokenizers: knows those of the text indexes, by path.
    init(
        _ filter: Filter, schema: ShardSchema, tokenizers: @escaping (PayloadPath) -> Tokenizer? = { _ in nil }
    ) {
        root = Clause(filter, FilterScope(schema: schema, tokenizers: tokenizers))
    }

    /// Whether the row passes.
    ///
    /// - Complexity: one parse of the row's JSON, unless no condition looks at it.
    func matches(_ row: PayloadRow) -> Bool {
        guard root.readsPayload else { return root.matches(row, nil) }
        return PayloadParser.withDocument(row.json) { root.matches(row, $0) } ?? false
    }
}

/// What conditions are compiled with.
private struct FilterScope {
    let schema: ShardSchema
    let tokenizers: (PayloadPath) -> Tokenizer?
    /// The path to the objects that a nested filter is about; empty outside of one.
    private var prefix = ""

    init(schema: ShardSchema, tokenizers: @escaping (PayloadPath) -> Tokenizer?) {
        (self.schema, self.tokenizers) = (schema, tokenizers)
    }

    func tokenizer(at path: PayloadPath) -> Tokenizer? { tokenizers(PayloadPath(prefix + path.text)) }

    func nested(at path: PayloadPath) -> FilterScope {
        var scope = self
        scope.prefix += path.text + (path.text.hasSuffix("[]") ? "." : "[].")
        return scope
    }
}

/// A filter with its conditions.
private struct Clause: Sendable {
    private let must: [Condition]
    private let should: [Condition]
    private let mustNot: [Condition]
    private let minShould: [Condition]
    private let minShouldCount: Int

    init(_ filter: Filter, _ scope: FilterScope) {
        must = filter.must.map { Condition($0, scope) }
        should = filter.should.map { Condition($0, scope) }
        mustNot = filter.mustNot.map { Condition($0, scope) }
        minShould = filter.minShould?.conditions.map { Condition($0, scope) } ?? []
        minShouldCount = filter.minShould?.count ?? 0
    }

    var readsPayload: Bool {
        [must, should, mustNot, minShould].contains { $0.contains(where: \.readsPayload) }
    }

    /// - Parameter object: the payload, or the object in it that a nested filter is about; nil when no condition reads it.
    func matches(_ row: PayloadRow, _ object: PayloadValue?) -> Bool {
        must.allSatisfy { $0.matches(row, object) }
            && !mustNot.contains { $0.matches(row, object) }
            && (should.isEmpty || should.contains { $0.matches(row, object) })
            && hasEnough(row, object)
    }

    private func hasEnough(_ row: PayloadRow, _ object: PayloadValue?) -> Bool {
        var missing = minShouldCount
        for condition in minShould where missing > 0 && condition.matches(row, object) { missing -= 1 }
        return missing <= 0
    }
}

private indirect enum Condition: Sendable {
    case value(PathSteps, ValueTest)
    case count(PathSteps, CountRange)
    case isEmpty(PathSteps)
    case isNull(PathSteps)
    case hasID(Set<PointID>)
    case slice(IDSlice)
    /// By the space's number; nil for a name that the schema does not have.
    case hasVector(Int?)
    case nested(PathSteps, Clause)
    case clause(Clause)

    init(_ condition: FilterCondition, _ scope: FilterScope) {
        switch condition {
        case .field(let path, .valuesCount(let range)): self = .count(PathSteps(path), range)
        case .field(let path, let test):
            self = .value(PathSteps(path), ValueTest(test, tokenizer: scope.tokenizer(at: path)))
        case .isEmpty(let path): self = .isEmpty(PathSteps(path))
        case .isNull(let path): self = .isNull(PathSteps(path))
        case .hasID(let ids): self = .hasID(Set(ids))
        case .slice(let slice): self = .slice(slice)
        case .hasVector(let name): self = .hasVector(scope.schema.spaceIndex(named: name))
        case .nested(let path, let filter):
            self = .nested(PathSteps(path).toElements, Clause(filter, scope.nested(at: path)))
        case .filter(let filter): self = .clause(Clause(filter, scope))
        }
    }

    var readsPayload: Bool {
        switch self {
        case .value, .count, .isEmpty, .isNull, .nested: true
        case .hasID, .slice, .hasVector: false
        case .clause(let clause): clause.readsPayload
        }
    }

    func matches(_ row: PayloadRow, _ object: PayloadValue?) -> Bool {
        switch self {
        case .hasID(let ids): return ids.contains(row.id)
        case .slice(let slice): return slice.contains(row.id)
        case .hasVector(let space): return space.map { row.spaces.contains($0) } ?? false
        case .clause(let clause): return clause.matches(row, object)
        case .value, .count, .isEmpty, .isNull, .nested: break
        }
        guard let object else { return false }
        switch self {
        case .value(let path, let test): return path.anyValue(in: object) { test.passes($0) }
        case .count(let path, let range): return Self.hasCount(at: path, in: range, object)
        case .isEmpty(let path): return path.isEmpty(in: object)
        case .isNull(let path): return path.isNull(in: object)
        case .nested(let path, let clause):
            return !path.forEachTarget(in: object) { element -> Bool in
                !(element.isObject && clause.matches(row, element))
            }
        case .hasID, .slice, .hasVector, .clause: return false
        }
    }

    /// An array counts its elements, null nothing, and anything else one; where there is nothing there are none.
    private static func hasCount(at path: PathSteps, in range: CountRange, _ object: PayloadValue) -> Bool {
        var isThere = false
        let isFound = !path.forEachTarget(in: object) { target -> Bool in
            isThere = true
            return !range.contains(target.isArray ? target.count : target.isNull ? 0 : 1)
        }
        return isThere ? isFound : range.contains(0)
    }
}
