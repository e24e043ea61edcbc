/**
 * Runs the fibers of one process of a simulation: in the order in which they became ready, and only when the simulation
 * lets them. With time and every port below a node simulated as well, nothing in it is left to chance.
 */
import type { Fiber, Scheduler } from "effect"

/** Operations after which a fiber lets the others run, as in production. */
const maxOperations = 2_048

/** Tasks in one stretch after which a process is taken for one that never comes to rest. */
const maxTasks = 1_000_000

export class RunQueue implements Scheduler.Scheduler, Scheduler.SchedulerDispatcher {
  readonly executionMode = "async"
  private tasks: Array<() => void> = []
  private dead = false

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return fiber.currentOpCount >= maxOperations
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return this
  }

  scheduleTask(task: () => void): void {
    if (!this.dead) this.tasks.push(task)
  }

  /** Nothing runs before {@link drain}. */
  flush(): void {}

  /** Runs whatever is ready, and what becomes ready by that. */
  drain(): void {
    let done = 0
    while (done < this.tasks.length) {
      const task = this.tasks[done] as () => void
      done += 1
      task()
      if (done > maxTasks) throw new Error("a process never comes to rest")
    }
    this.tasks.length = 0
  }

  /** The process is gone: none of its fibers ever runs again. */
  kill(): void {
    this.dead = true
    this.tasks = []
  }
}
