import Hummingbird

/// What the dialect has and Shoal has not, so that a client reads why instead of a bare 404.
struct UnsupportedRoutes: Sendable {
    func add(to table: RouteTable) {
        refuse("points/payload", [.post, .put], "changing payloads apart from their points", table)
        refuse("points/payload/delete", [.post], "changing payloads apart from their points", table)
        refuse("points/payload/clear", [.post], "changing payloads apart from their points", table)
        refuse("points/vectors", [.put], "changing vectors apart from their points", table)
        refuse("points/vectors/delete", [.post], "changing vectors apart from their points", table)
        refuse("points/recommend", [.post], "recommendation", table)
        refuse("points/discover", [.post], "discovery", table)
        refuse("points/query/groups", [.post], "grouping", table)
        refuse("points/search/groups", [.post], "grouping", table)
        refuse("points/search/matrix/pairs", [.post], "the distance matrix", table)
        refuse("points/search/matrix/offsets", [.post], "the distance matrix", table)
        refuse("facet", [.post], "faceting", table)
        refuse("shards", [.get, .put], "shard keys", table)
        let storage = "snapshots of the whole storage (take one of each collection)"
        refuse(path: "/snapshots", [.get, .post], storage, table)
        refuse(path: "/snapshots/{snapshot}", [.get, .delete], storage, table)
    }

    private func refuse(
        _ path: String, _ methods: [HTTPRequest.Method], _ what: String, _ table: RouteTable
    ) {
        refuse(path: "/collections/{collection}/\(path)", methods, what, table)
    }

    private func refuse(
        path: RouterPath, _ methods: [HTTPRequest.Method], _ what: String, _ table: RouteTable
    ) {
        let handler: RouteTable.Handler = { _, _ in
            throw APIError(.badRequest, "Wrong input: \(what): not supported")
        }
        let handlers = methods.map { ($0, handler) }
        table.add(path, Dictionary(uniqueKeysWithValues: handlers))
    }
}
