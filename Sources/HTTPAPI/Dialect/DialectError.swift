/// A request that is not what the dialect takes: which field, and what is wrong with it.
struct DialectError: Error, Equatable, CustomStringConvertible {
    /// The field, such as `points[3].vector[17]`; empty for the body as a whole.
    var path: String
    var problem: String

    init(_ path: String, _ problem: String) {
        self.path = path
        self.problem = problem
    }

    /// The same error seen from the field's parent, which is `component`.
    func within(_ component: String) -> DialectError {
        let joint = path.isEmpty || path.hasPrefix("[") || component.isEmpty ? "" : "."
        return DialectError(component + joint + path, problem)
    }

    var description: String { path.isEmpty ? problem : "\(path): \(problem)" }
}

/// Runs `body`, whose errors name fields of `component`, and puts that name before theirs.
func within<T>(
    _ component: @autoclosure () -> String, _ body: () throws(DialectError) -> T
) throws(DialectError) -> T {
    do { return try body() } catch { throw error.within(component()) }
}

/// Text of a client, cut to what is sensible to repeat in an error.
func quoted(_ text: some StringProtocol) -> String {
    "`" + text.prefix(64) + (text.count > 64 ? "...`" : "`")
}
