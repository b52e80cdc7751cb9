internal import DataModel

/// A payload path, split once, and the walk along it.
struct PathSteps: Sendable {
    private let steps: [PayloadPath.Step]
    /// A text that is not a path leads nowhere.
    private let leadsSomewhere: Bool

    init(_ path: PayloadPath) {
        let steps = path.steps
        self.steps = steps ?? []
        leadsSomewhere = steps != nil
    }

    /// The path to the elements of the array at the end of this one.
    private init(steps: [PayloadPath.Step], leadsSomewhere: Bool) {
        self.steps = steps
        self.leadsSomewhere = leadsSomewhere
    }

    /// The path of the dialect's nested filters, which are about the elements of an array.
    var toElements: PathSteps {
        steps.last == .elements ? self : PathSteps(steps: steps + [.elements], leadsSomewhere: leadsSomewhere)
    }

    /// Calls `body` with what the path leads to, arrays at its end as they are, until it returns false.
    ///
    /// - Returns: whether it went through all of them.
    @discardableResult
    func forEachTarget(in root: PayloadValue, while body: (PayloadValue) -> Bool) -> Bool {
        leadsSomewhere ? walk(root, from: 0, body) : true
    }

    private func walk(_ value: PayloadValue, from first: Int, _ body: (PayloadValue) -> Bool) -> Bool {
        guard first < steps.count else { return body(value) }
        switch steps[first] {
        case .key(let key):
            guard value.isObject, let next = value[key] else { return true }
            return walk(next, from: first + 1, body)
        case .index(let index):
            var position = 0
            var goesOn = true
            value.forEachElement { element -> Bool in
                defer { position += 1 }
                if position == index { goesOn = walk(element, from: first + 1, body) }
                return position < index
            }
            return goesOn
        case .elements:
            return value.forEachElement { element -> Bool in walk(element, from: first + 1, body) }
        }
    }

    /// Calls `body` with what the path leads to, arrays at its end as they are.
    func forEachTarget(in root: PayloadValue, _ body: (PayloadValue) -> Void) {
        forEachTarget(in: root) { target -> Bool in
            body(target)
            return true
        }
    }

    /// Whether a value at the path passes; of an array at its end, an element.
    func anyValue(in root: PayloadValue, passes test: (PayloadValue) -> Bool) -> Bool {
        !forEachTarget(in: root) { target -> Bool in
            target.isArray ? target.forEachElement { element -> Bool in !test(element) } : !test(target)
        }
    }

    /// Calls `body` with each value at the path: of an array at its end, with its elements.
    func forEachValue(in root: PayloadValue, _ body: (PayloadValue) -> Void) {
        _ = anyValue(in: root) { value in
            body(value)
            return false
        }
    }

    /// What the dialect calls empty: nothing, null, or an empty array.
    func isEmpty(in root: PayloadValue) -> Bool {
        forEachTarget(in: root) { target -> Bool in target.isNull || (target.isArray && target.count == 0) }
    }

    /// What the dialect calls null: null, or an array with a null in it.
    func isNull(in root: PayloadValue) -> Bool { anyValue(in: root) { $0.isNull } }
}
