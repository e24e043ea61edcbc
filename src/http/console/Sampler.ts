/**
 * Asks all nodes how they do, once a second and less often while they are busy, for as long as somebody looks. Viewers
 * share one sampler, whose fiber and memory come with the first of them and go with the last. A viewer that comes later
 * gets what there is.
 */
import { Clock, Effect, Queue } from "effect"
import type { Fiber, Scope } from "effect"
import type { ClusterAdmin } from "../../client/ClusterAdmin.ts"
import { Overloaded } from "../../FlareDbError.ts"
import type { Before, ClusterSample } from "./ClusterSample.ts"
import { sampleOf } from "./ClusterSample.ts"
import { warningsOf } from "./Warnings.ts"

/** How often the nodes are asked, in milliseconds. */
export const sampleMs = 1_000

/** How often the nodes are asked when their answers take long, in milliseconds: then they have other work. */
export const busySampleMs = 2_000

/** From one question to the next it is at least so many times as long as the answers took. */
const timesAsked = 50

/** The least time between two questions, in milliseconds. */
const minPauseMs = 100

/** Samples that a viewer who comes later gets: five minutes, up to ten of busy nodes. */
export const maxSamples = 300

/** Viewers at a time. */
export const maxViewers = 64

/** Samples that wait for one viewer; the oldest is dropped for one that reads slowly. */
const maxWaiting = 4

type Asked = Pick<ClusterAdmin["Service"], "status" | "vitals">

/** What a viewer gets: first all there is, then one after the other. */
export type Viewed = ReadonlyArray<ClusterSample>

export class Sampler {
  private readonly admin: Asked
  private readonly ids: ReadonlyMap<string, number>
  private readonly viewers = new Set<Queue.Queue<Viewed>>()
  private samples: Array<ClusterSample> = []
  private before: Before | undefined
  private running: Fiber.Fiber<void> | undefined

  /** `ids` are those of the nodes by their endpoints: one that never answered is shown with its own. */
  constructor(admin: Asked, ids: ReadonlyMap<string, number> = new Map()) {
    this.admin = admin
    this.ids = ids
  }

  get viewing(): number {
    return this.viewers.size
  }

  /** Whether anything is asked or kept. */
  get isIdle(): boolean {
    return this.running === undefined && this.samples.length === 0 && this.before === undefined
  }

  /** Looks for as long as the scope lives. */
  readonly view: Effect.Effect<Queue.Dequeue<Viewed>, Overloaded, Scope.Scope> = Effect.suspend(() =>
    this.viewers.size >= maxViewers
      ? Effect.fail(new Overloaded({ limit: "maxViewers", current: this.viewers.size, maximum: maxViewers }))
      : Effect.acquireRelease(this.begin, (viewer) => this.end(viewer))
  )

  private readonly begin = Effect.gen({ self: this }, function*() {
    const viewer = yield* Queue.sliding<Viewed>(maxWaiting)
    this.viewers.add(viewer)
    if (this.samples.length > 0) Queue.offerUnsafe(viewer, [...this.samples])
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    // At once: another viewer may come between two steps of this one.
    this.running ??= fork(Effect.forever(Effect.andThen(Effect.yieldNow, this.turn)))
    return viewer
  })

  private end(viewer: Queue.Queue<Viewed>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.viewers.delete(viewer)
      const { running } = this
      if (this.viewers.size > 0 || running === undefined) return Effect.void
      this.running = undefined
      this.samples = []
      this.before = undefined
      running.interruptUnsafe()
      return Effect.void
    })
  }

  /**
   * An answer that took long, because the nodes have other work, makes the questions fewer. One that took much longer,
   * because a node does not answer, shortens the pause before the next one.
   */
  private readonly turn = Effect.gen({ self: this }, function*() {
    const begunMs = yield* Clock.currentTimeMillis
    // A defect costs one sample: without this, all that look would wait for ever.
    yield* Effect.catchDefect(this.sample, (defect) => Effect.logWarning("the console could not ask the nodes", defect))
    const tookMs = (yield* Clock.currentTimeMillis) - begunMs
    const everyMs = Math.min(busySampleMs, Math.max(sampleMs, tookMs * timesAsked))
    yield* Effect.sleep(Math.max(minPauseMs, everyMs - tookMs))
  })

  private readonly sample = Effect.gen({ self: this }, function*() {
    const { admin } = this
    const begunMs = yield* Clock.currentTimeMillis
    const [status, figures] = yield* Effect.all([admin.status, admin.vitals], { concurrency: 2 })
    const atMs = yield* Clock.currentTimeMillis
    // The last viewer may have gone meanwhile.
    if (this.running === undefined) return
    const { next, sample } = sampleOf({ atMs, tookMs: atMs - begunMs, status, figures }, this.before, this.ids)
    this.before = next
    const told = { ...sample, warnings: warningsOf(sample) }
    this.samples.push(told)
    if (this.samples.length > maxSamples) this.samples.shift()
    for (const viewer of this.viewers) Queue.offerUnsafe(viewer, [told])
  })
}
