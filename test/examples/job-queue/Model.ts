/** The job queue as plainly as it can be written: one map of jobs, gone through for every command. */
import type { Job, Stats } from "../../../examples/job-queue/Job.ts"
import { keepMs } from "../../../examples/job-queue/Job.ts"
import type { Command, Reply } from "../../../examples/job-queue/Protocol.ts"

type ModelJob = { -readonly [K in keyof Job]: Job[K] }

export class Model {
  readonly jobs = new Map<number, ModelJob>()
  private readonly totals = new Map<string, { enqueued: number; duplicates: number; completed: number }>()
  private timeMs = 0

  private total(queue: string) {
    const found = this.totals.get(queue) ?? { enqueued: 0, duplicates: 0, completed: 0 }
    this.totals.set(queue, found)
    return found
  }

  stats(queue: string): Stats {
    const inState = (state: Job["state"]) =>
      [...this.jobs.values()].filter((job) => job.queue === queue && job.state === state).length
    return {
      waiting: inState("waiting"),
      taken: inState("taken"),
      done: inState("done"),
      dead: inState("dead"),
      ...this.total(queue)
    }
  }

  private find(holds: (job: ModelJob) => boolean): ModelJob | undefined {
    return [...this.jobs.values()].find(holds)
  }

  apply(index: number, timestampMs: number, command: Command): Reply {
    this.timeMs = Math.max(this.timeMs, timestampMs)
    const { timeMs } = this
    switch (command._tag) {
      case "Enqueue": {
        const { delayMs, key, maxAttempts, payload, queue } = command
        const known = this.find((job) => job.queue === queue && job.key === key)
        if (known !== undefined) {
          this.total(queue).duplicates += 1
          return { _tag: "Enqueued", job: known.id, duplicate: true }
        }
        this.total(queue).enqueued += 1
        this.jobs.set(index, {
          id: index,
          queue,
          key,
          payload,
          state: "waiting",
          atMs: timeMs + delayMs,
          attempts: 0,
          maxAttempts,
          receipt: null,
          failure: null
        })
        return { _tag: "Enqueued", job: index, duplicate: false }
      }
      case "Take": {
        const held = this.find((job) =>
          job.queue === command.queue && job.state === "taken" && job.receipt === command.receipt
        )
        if (held !== undefined) return { _tag: "Taken", job: { ...held } }
        const waiting = [...this.jobs.values()]
          .filter((job) => job.queue === command.queue && job.state === "waiting")
          .sort((a, b) => a.atMs - b.atMs || a.id - b.id)
        const first = waiting[0]
        if (first === undefined || first.atMs > timeMs) return { _tag: "Empty", nextAtMs: first?.atMs ?? null }
        Object.assign(first, {
          state: "taken",
          atMs: timeMs + command.leaseMs,
          attempts: first.attempts + 1,
          receipt: command.receipt
        })
        return { _tag: "Taken", job: { ...first } }
      }
      case "Complete": {
        const job = this.jobs.get(command.job)
        if (job?.receipt !== command.receipt) return { _tag: "NotHeld" }
        if (job.state === "done") return { _tag: "Completed" }
        if (job.state !== "taken") return { _tag: "NotHeld" }
        Object.assign(job, { state: "done", atMs: timeMs + keepMs })
        this.total(job.queue).completed += 1
        return { _tag: "Completed" }
      }
      case "Fail": {
        const job = this.jobs.get(command.job)
        if (job?.receipt !== command.receipt || job.state === "done") return { _tag: "NotHeld" }
        if (job.state === "taken") this.endAttempt(job, command.reason, timeMs + command.delayMs)
        return job.state === "dead" ? { _tag: "Died" } : { _tag: "Retrying", atMs: job.atMs }
      }
      case "Extend": {
        const job = this.jobs.get(command.job)
        if (job?.receipt !== command.receipt || job.state !== "taken") return { _tag: "NotHeld" }
        job.atMs = timeMs + command.leaseMs
        return { _tag: "Extended", untilMs: job.atMs }
      }
      case "Revive": {
        const job = this.jobs.get(command.job)
        if (job?.state !== "dead") return { _tag: "NotDead" }
        Object.assign(job, { state: "waiting", atMs: timeMs, attempts: 0, receipt: null })
        return { _tag: "Revived" }
      }
      case "Expire": {
        const due = [...this.jobs.values()].filter((job) => job.state !== "waiting" && job.atMs <= timeMs)
        for (const job of due) {
          if (job.state !== "taken") this.jobs.delete(job.id)
          else {
            this.endAttempt(job, "its time ran out", timeMs)
            job.receipt = null
          }
        }
        return { _tag: "Expired", jobs: due.length }
      }
    }
  }

  private endAttempt(job: ModelJob, failure: string, retryAtMs: number): void {
    job.failure = failure
    if (job.attempts < job.maxAttempts) {
      job.state = "waiting"
      job.atMs = retryAtMs
    } else {
      job.state = "dead"
      job.atMs = this.timeMs + keepMs
    }
  }
}
