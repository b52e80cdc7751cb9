internal import DataModel
internal import LMDB

/// Turns a filter into sets of rows, as far as the indexes of one transaction's state reach.
struct FilterPlanner {
    private let store: PointStore
    private let cache: FilterCache
    private let schema: ShardSchema
    private let view: ReadView
    private let catalog: PayloadIndexCatalog
    private let universe: RowBitmap
    /// Whether the transaction sees what the view sees, and no later write: then a point is where `points` says.
    private let isCurrent: Bool

    init(_ shard: ShardGeneration, _ view: ReadView, _ transaction: borrowing ReadTransaction) throws {
        (store, cache, schema, self.view) = (shard.store, shard.filterCache, shard.schema, view)
        catalog = try store.loadPayloadIndexes(transaction)
        universe = RowBitmap(prefix: view.slotCount)
        isCurrent = try store.loadState(transaction).position == view.position
    }

    func plan(_ filter: Filter, _ transaction: borrowing ReadTransaction) throws -> PlannedFilter {
        let minShould = try filter.minShould.map { minShould in
            (conditions: try plan(minShould.conditions, transaction), count: minShould.count)
        }
        return PlannedFilter(
            must: try plan(filter.must, transaction), should: try plan(filter.should, transaction),
            mustNot: try plan(filter.mustNot, transaction), minShould: minShould, universe: universe)
    }

    private func plan(
        _ conditions: [FilterCondition], _ transaction: borrowing ReadTransaction
    ) throws -> [PlannedCondition] {
        var planned: [PlannedCondition] = []
        for condition in conditions { planned.append(try plan(condition, transaction)) }
        return planned
    }

    private func plan(
        _ condition: FilterCondition, _ transaction: borrowing ReadTransaction
    ) throws -> PlannedCondition {
        if case .filter(let filter) = condition {
            let planned = try plan(filter, transaction)
            return PlannedCondition(bounds: planned.bounds, check: .filter(planned))
        }
        let bounds = try bounds(of: condition, transaction)
        let program = FilterProgram(
            Filter(must: [condition]), schema: schema, tokenizers: { [catalog] in catalog.tokenizer(at: $0) })
        return PlannedCondition(bounds: bounds ?? .unknown(universe), check: .program(program))
    }

    /// Nil when only payloads can tell.
    private func bounds(
        of condition: FilterCondition, _ transaction: borrowing ReadTransaction
    ) throws -> RowBounds? {
        switch condition {
        case .field(let path, let test):
            try answer(condition, at: path) { try $0.rows(passing: test, transaction) }
        case .isEmpty(let path): try answer(condition, at: path) { try $0.emptyRows(transaction) }
        case .isNull(let path): try answer(condition, at: path) { try $0.nullRows(transaction) }
        case .hasID(let ids): isCurrent ? RowBounds(exact: try rows(of: ids, transaction)) : nil
        case .hasVector(let name): RowBounds(exact: rows(withVectorIn: name))
        case .nested, .slice, .filter: nil
        }
    }

    private func answer(
        _ condition: FilterCondition, at path: PayloadPath, _ ask: (IndexAnswer) throws -> RowBounds?
    ) rethrows -> RowBounds? {
        guard let entry = catalog.usable(at: path) else { return nil }
        return try cache.bounds(of: condition, entry.config, slotCount: view.slotCount) {
            try ask(IndexAnswer(entry, store: store, universe: universe, slotLimit: view.slotCount))
        }
    }

    private func rows(of ids: [PointID], _ transaction: borrowing ReadTransaction) throws -> RowBitmap {
        var builder = RowBitmap.Builder()
        for id in ids {
            let key = PointLocation.key(of: id, virtualShards: schema.virtualShards)
            if let location = try store.location(of: key, transaction) { builder.insert(location.slot) }
        }
        return builder.finished()
    }

    /// What is deleted counts as without a vector, which is right for all rows that can be an answer.
    private func rows(withVectorIn name: String) -> RowBitmap {
        guard let space = schema.spaceIndex(named: name) else { return RowBitmap() }
        return universe.subtracting(view.deleted[space].bitmap)
    }
}
