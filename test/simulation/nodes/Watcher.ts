/** Watches everything that changes, from one node after another, and misses nothing. */
import { Cause, Effect } from "effect"
import type { ChangeFeed } from "../../../src/kv/ChangeFeed.ts"
import type { FeedPart, FeedRequest } from "../../../src/kv/FeedPart.ts"
import { prefixRange } from "../../../src/bytes/KeyRange.ts"
import type { Change } from "../../../src/kv/model/History.ts"
import { KeyRanges } from "../../../src/kv/model/KeyRanges.ts"
import { demand } from "../engine/Oracle.ts"
import { Random } from "../Random.ts"
import type { ClientWorld } from "./ClientWorld.ts"
import { isDelete, keyOf, latin, sameRecord } from "./Ledger.ts"
import { drawRanges } from "./WatchedRanges.ts"
import type { SimNode } from "./SimNode.ts"
import type { SimProcess } from "../engine/SimProcess.ts"

/** How often a watcher looks whether its node is still there. */
const checkMs = 60

/** How long it waits for a change that concerns it. */
const patienceMs = 100

export class Watcher {
  /** The revision it wants next. */
  from = 1
  private readonly name: string
  private readonly world: ClientWorld
  private readonly request: FeedRequest
  /** What only this watcher draws comes from a generator of its own. */
  private readonly own: Random
  /** Whether it looks again at what it has seen: at a node that was started since, that is in the store alone. */
  private readonly goesBack: boolean
  private process: SimProcess | undefined
  /** What it asked last and has no answer to. An earlier one that is answered later, by the same node, is ignored. */
  private asked: object | undefined

  constructor(id: number, seed: number, world: ClientWorld) {
    this.world = world
    this.name = `w${id}`
    const { random } = world
    const prefix = KeyRanges.of(prefixRange(Buffer.from(random.pick(["", "k", "l"]), "latin1")))
    const previous = random.chance(0.3)
    const own = new Random(seed * 7_919 + id)
    this.own = own
    this.goesBack = own.chance(0.5)
    this.request = own.chance(0.5)
      ? { ranges: prefix, previous }
      : {
        ranges: drawRanges(own),
        previous: own.chance(0.5),
        only: own.pick([undefined, undefined, "puts", "deletes"])
      }
    this.look()
  }

  /** Goes to another node when its own is gone, and now and then for no reason. */
  private look(): void {
    const { nodes, probes, random, timeline, trace } = this.world
    timeline.after(checkMs, () => this.look())
    const moves = this.process === undefined || this.process.isGone || random.chance(0.01)
    if (!moves) return
    const node = random.pick(nodes)
    if (node.process === undefined || node.running === undefined || node.process === this.process) return
    if (this.process !== undefined) probes.hit("a watch was resumed at another node")
    if (this.goesBack && this.own.chance(0.5)) this.from = Math.max(1, this.from - this.own.below(60))
    trace?.(`${this.name} watches n${node.id} from ${this.from}`)
    this.process = node.process
    this.asked = undefined
    this.ask(node)
  }

  private ask(node: SimNode): void {
    const { process } = this
    const { running } = node
    if (process === undefined || running === undefined || node.process !== process || this.asked !== undefined) return
    const asked = {}
    this.asked = asked
    const { from, request } = this
    process.enter(() =>
      node.run(this.next(running.feed, request, from), (exit) => {
        if (process.isGone || this.asked !== asked) return
        this.asked = undefined
        if (exit._tag === "Success") this.sees(node, from, exit.value)
        else this.fails(node, exit.cause)
        // Some watchers are slow, and then a part holds more than one revision.
        process.later(this.world.random.chance(0.7) ? 1 : this.world.random.below(200), () => this.ask(node))
      })
    )
  }

  /** The next changes, or after a while how far there are none. */
  private next(feed: ChangeFeed["Service"], request: FeedRequest, from: number): Effect.Effect<FeedPart, unknown> {
    return Effect.flatMap(
      feed.wait(request.ranges, from, patienceMs),
      (at) =>
        at <= feed.revision() ? feed.next(request, at) : Effect.succeed({ revisions: [], through: at - 1, bytes: 0 })
    )
  }

  private fails(node: SimNode, cause: Cause.Cause<unknown>): void {
    const { ledger, probes, trace } = this.world
    const error = Cause.squash(cause)
    if (typeof error !== "object" || error === null || !("_tag" in error) || error._tag !== "Compacted") return
    const { oldest } = error as unknown as { readonly oldest: number }
    trace?.(`${this.name} at n${node.id}: revision ${this.from} is gone, the oldest is ${oldest}`)
    probes.hit("a watch came too late for the history")
    demand(
      oldest > this.from && oldest <= ledger.model.compacted + 1,
      "watch without gaps",
      () => `${this.name} hears that ${oldest} is the oldest, but only ${ledger.model.compacted} is compacted`
    )
    this.from = oldest
  }

  private sees(node: SimNode, from: number, part: FeedPart): void {
    const { ledger, probes, trace } = this.world
    const { revisions, through } = part
    if (through < from) return
    trace?.(`${this.name} at n${node.id}: ${from} to ${through}, ${revisions.length} of them matter`)
    demand(
      through <= ledger.revision,
      "watch without gaps",
      () => `${this.name} at n${node.id} has all up to ${through}, asked from ${from}, ${ledger.revision} is committed`
    )
    // A node has no revision in memory that it did not apply itself.
    if (revisions.length > 0 && from <= node.startRevision) probes.hit("a watch read old revisions from the store")
    const told = new Map(revisions.map((revision) => [revision.revision, revision]))
    for (let revision = from; revision <= through; revision++) {
      const changes = (ledger.changes[revision] ?? []).filter((change) => this.wants(change))
      const found = told.get(revision)?.changes ?? []
      for (const change of found) this.checkReplaced(node, revision, change)
      const seen = found.map(({ key, record }) =>
        record === undefined ? `${latin(key)} gone` : `${latin(key)}=${latin(record.value)}`
      )
      demand(
        changes.slice().sort().join() === seen.sort().join(),
        "watch without gaps",
        () => `${this.name} at n${node.id} sees ${seen.join()} at ${revision}, the model has ${changes.join()}`
      )
    }
    demand(
      revisions.every(({ revision }, at) => revision >= from && revision > (revisions[at - 1]?.revision ?? 0)),
      "watch without gaps",
      () => `${this.name} at n${node.id} sees revisions out of order`
    )
    this.from = through + 1
  }

  /** Whether it asked for a change. */
  private wants(change: string): boolean {
    const { only, ranges } = this.request
    return ranges.contains(Buffer.from(keyOf(change), "latin1")) &&
      (only === undefined || (only === "deletes") === isDelete(change))
  }

  /** A record that a change replaced is the one that was there. Only compaction may have taken it. */
  private checkReplaced(node: SimNode, revision: number, { key, previous }: Change): void {
    const { ledger, probes } = this.world
    const before = ledger.recordAt(latin(key), revision - 1)
    if (previous !== undefined) probes.hit("a watch told what was replaced")
    const mayLack = !this.request.previous || (before?.modRevision ?? 0) <= ledger.model.compacted
    demand(
      sameRecord(previous, before) || (previous === undefined && mayLack),
      "watch without gaps",
      () =>
        `${this.name} at n${node.id} hears that revision ${previous?.modRevision ?? "-"} of ${
          latin(key)
        } was replaced ` +
        `at ${revision}; it was ${before?.modRevision ?? "-"}`
    )
  }
}
