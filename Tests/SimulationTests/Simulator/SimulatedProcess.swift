/// One start of a node's program: what it planned happens only while it lives, and later when it is stopped meanwhile.
final class SimulatedProcess {
    private unowned let simulation: Simulation
    private(set) var isAlive = true
    /// A stopped process (SIGSTOP) goes on at this time; the clocks do not stop.
    var stoppedUntil = 0

    init(_ simulation: Simulation) { self.simulation = simulation }

    func kill() { isAlive = false }

    func after(_ delay: Int, _ action: @escaping () -> Void) {
        guard isAlive else { return }
        simulation.after(delay) { [self] in run(action) }
    }

    /// Now, or as soon as the process is no longer stopped.
    func run(_ action: @escaping () -> Void) {
        guard isAlive else { return }
        if stoppedUntil > simulation.now {
            // What has gathered is worked off in any order.
            after(stoppedUntil - simulation.now + simulation.random.within(0...1_000), action)
        } else {
            action()
        }
    }
}
