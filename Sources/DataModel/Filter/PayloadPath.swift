/// A way through the objects and arrays of a payload: `country.cities[].name`.
///
/// As in the dialect, a key leads into an object only; `[]` goes through all elements of an array and `[2]` to one of
/// them. Conditions look into the elements of an array at the end of a path, also where `[]` is left out there.
package struct PayloadPath: Sendable, Hashable, Codable {
    /// As the client wrote it.
    package let text: String

    package init(_ text: String) { self.text = text }

    package enum Step: Sendable, Hashable {
        /// A field of an object. In the text, one with `.`, `[`, `]` or `"` in it stands in quotation marks.
        case key(String)
        /// `[]`: every element of an array.
        case elements
        case index(Int)
    }

    /// The path's steps, of which the first is a key; nil when the text is not a path.
    package var steps: [Step]? {
        var steps: [Step] = []
        var rest = text[...]
        repeat {
            guard let key = Self.takeKey(&rest) else { return nil }
            steps.append(.key(key))
            while rest.first == "[" {
                guard let step = Self.takeBrackets(&rest) else { return nil }
                steps.append(step)
            }
            if rest.isEmpty { return steps }
        } while rest.popFirst() == "."
        return nil
    }

    private static func takeKey(_ rest: inout Substring) -> String? {
        if rest.first == "\"" {
            rest.removeFirst()
            guard let end = rest.firstIndex(of: "\"") else { return nil }
            defer { rest = rest[rest.index(after: end)...] }
            return String(rest[..<end])
        }
        let key = rest.prefix { $0 != "." && $0 != "[" }
        guard !key.isEmpty, !key.contains("]"), !key.contains("\"") else { return nil }
        rest = rest[key.endIndex...]
        return String(key)
    }

    private static func takeBrackets(_ rest: inout Substring) -> Step? {
        guard let end = rest.firstIndex(of: "]") else { return nil }
        let index = rest[rest.index(after: rest.startIndex)..<end]
        rest = rest[rest.index(after: end)...]
        if index.isEmpty { return .elements }
        guard let number = Int(index), number >= 0 else { return nil }
        return .index(number)
    }
}
