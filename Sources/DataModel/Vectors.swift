/// The vectors of one point by the name of their vector space. The unnamed space has the name "".
package struct NamedVectors: Sendable, Equatable {
    /// In order of names; each name occurs once.
    package private(set) var entries: [(name: String, values: [Float])]

    package init() { entries = [] }

    /// The vector of the unnamed space.
    package init(_ values: [Float]) { entries = [("", values)] }

    package subscript(name: String) -> [Float]? {
        get { entries.first { $0.name == name }?.values }
        set {
            let index = entries.firstIndex { $0.name >= name } ?? entries.endIndex
            let exists = index < entries.endIndex && entries[index].name == name
            switch (exists, newValue) {
            case (true, let values?): entries[index].values = values
            case (true, nil): entries.remove(at: index)
            case (false, let values?): entries.insert((name, values), at: index)
            case (false, nil): break
            }
        }
    }

    package var isEmpty: Bool { entries.isEmpty }

    package static func == (lhs: Self, rhs: Self) -> Bool {
        lhs.entries.elementsEqual(rhs.entries) { $0.name == $1.name && $0.values == $1.values }
    }
}
