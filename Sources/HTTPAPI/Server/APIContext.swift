import Hummingbird
import NIOCore

/// What a request carries on its way.
struct APIContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// When the server began with the request: the envelope tells how long it took.
    let start = ContinuousClock.now

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
    }

    var elapsedSeconds: Double {
        let elapsed = (ContinuousClock.now - start).components
        return Double(elapsed.seconds) + Double(elapsed.attoseconds) / 1e18
    }
}
