/**
 * One run of a node's process: its fibers, and everything that will come back to it. When the process is gone nothing
 * does; while it is stopped (SIGSTOP) everything waits.
 */
import type { Timeline } from "./Timeline.ts"
import { RunQueue } from "./RunQueue.ts"

export class SimProcess {
  readonly queue = new RunQueue()
  private readonly timeline: Timeline
  private state: "runs" | "stopped" | "gone" = "runs"
  /** What happened to a stopped process. */
  private backlog: Array<() => void> = []

  constructor(timeline: Timeline) {
    this.timeline = timeline
  }

  get isGone(): boolean {
    return this.state === "gone"
  }

  get isStopped(): boolean {
    return this.state === "stopped"
  }

  get nowMs(): number {
    return this.timeline.nowMs
  }

  /** Something reaches the process: its fibers take it up at once. */
  enter(happen: () => void): void {
    if (this.state === "gone") return
    if (this.state === "stopped") {
      this.backlog.push(happen)
      return
    }
    happen()
    this.queue.drain()
  }

  /** Something will reach the process. */
  later(delayMs: number, happen: () => void): void {
    this.timeline.after(delayMs, () => this.enter(happen))
  }

  stop(): void {
    if (this.state === "runs") this.state = "stopped"
  }

  /** Goes on, with everything that happened meanwhile at once. */
  resume(): void {
    if (this.state !== "stopped") return
    this.state = "runs"
    const { backlog } = this
    this.backlog = []
    for (const happen of backlog) this.enter(happen)
  }

  kill(): void {
    this.state = "gone"
    this.backlog = []
    this.queue.kill()
  }
}
