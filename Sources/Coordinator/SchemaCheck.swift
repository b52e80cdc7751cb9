import DataModel

/// Checks requests against a collection's schema before anything is sent; errors name the field as the client wrote it.
struct SchemaCheck {
    let config: CollectionConfig

    /// - Throws: `DatabaseError.invalid` at an unknown vector name, a wrong dimension, or a missing unnamed vector.
    func check(_ points: [Point]) throws(DatabaseError) {
        let unnamed = config.space(named: "")
        for (index, point) in points.enumerated() {
            if unnamed != nil, point.vectors[""] == nil {
                throw .invalid(reason: "points[\(index)].vector is missing")
            }
            for (name, values) in point.vectors.entries {
                let field = name.isEmpty ? "points[\(index)].vector" : "points[\(index)].vector.\(name)"
                try check(values.count, against: try space(named: name, field: field), field: field)
            }
        }
    }

    /// The vector space of a query.
    ///
    /// - Throws: `DatabaseError.invalid` when the collection has none of that name.
    func space(of query: Query, at index: Int, of count: Int) throws(DatabaseError) -> VectorSpace {
        let prefix = count > 1 ? "searches[\(index)]: " : ""
        let space = try space(named: query.space, field: "\(prefix)query")
        if case .vector(let values) = query.target {
            try check(values.count, against: space, field: "\(prefix)query vector")
        }
        return space
    }

    /// - Throws: `DatabaseError.invalid` when the selector names a space that the collection does not have.
    func check(_ selector: VectorSelector) throws(DatabaseError) {
        guard case .named(let names) = selector else { return }
        for name in names { _ = try space(named: name, field: "with_vector") }
    }

    private func space(named name: String, field: String) throws(DatabaseError) -> VectorSpace {
        if let space = config.space(named: name) { return space }
        let known = config.spaces.map(\.name)
        if name.isEmpty {
            throw .invalid(
                reason: "\(field): the collection has no unnamed vector; name one of \(known.joined(separator: ", "))")
        }
        if known == [""] {
            throw .invalid(reason: "\(field): unknown vector name '\(name)'; the collection's vector has no name")
        }
        throw .invalid(
            reason: "\(field): unknown vector name '\(name)'; the collection has \(known.joined(separator: ", "))")
    }

    private func check(_ components: Int, against space: VectorSpace, field: String) throws(DatabaseError) {
        guard components != space.dimension else { return }
        throw .invalid(
            reason: "\(field): \(components) components where the vector space has \(space.dimension)")
    }
}
