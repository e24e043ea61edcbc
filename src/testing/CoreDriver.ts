/**
 * The driver of one consensus core for tests, simulations and micro benchmarks: what each output means, and which event
 * answers it. `node/EventLoop.ts` is the driver of a real node, with disks and networks that take time.
 *
 * Nothing ends by itself here. A write is queued until {@link CoreDriver.finishWrite}, entries wait for
 * {@link CoreDriver.apply}, and so on, so that a test decides what happens first and what a crash loses.
 */
import type { Config } from "../raft/Config.ts"
import type { Event } from "../raft/Event.ts"
import type { Message } from "../raft/Message.ts"
import type { Apply, Output, Persist, ReadLog, RestartLog, SendSnapshot } from "../raft/Output.ts"
import type { Raft, Recovered } from "../raft/Raft.ts"
import { make, step } from "../raft/Raft.ts"
import type { Entry, LogPoint, NodeId } from "../raft/Types.ts"
import type { LogIndex } from "../raft/Types.ts"

/** The durable log. */
export interface CoreDisk {
  /** Makes one output durable. */
  readonly write: (output: Persist | RestartLog) => void
  /** The durable entry at an index. */
  readonly at: (index: number) => Entry | undefined
}

/** What is outside of one core. */
export interface CoreWorld {
  readonly disk: CoreDisk
  /** Messages leave the node. */
  readonly send: (messages: ReadonlyArray<Message>) => void
  /** Committed entries reach the state machine, in order. */
  readonly applies: (entries: ReadonlyArray<Entry>) => void
  /** After each step, before its outputs are carried out. */
  readonly stepped?: (event: Event, outputs: ReadonlyArray<Output>) => void
  /** After each output was carried out or queued. Outputs without a duty here end here: roles, refusals, reads. */
  readonly carriedOut?: (output: Output) => void
}

export class CoreDriver {
  readonly raft: Raft
  /** Outputs that are not durable yet, in the order in which they become so. */
  readonly writes: Array<Persist | RestartLog> = []
  /** Committed entries that the state machine has not been given, or not all of them. */
  applying: Apply | undefined
  /** The last entry that the state machine has. */
  applied: LogIndex
  /** Reads of the log for followers, not answered yet. */
  readonly logReads: Array<ReadLog> = []
  /** Snapshots that followers need. */
  readonly snapshotsToSend: Array<SendSnapshot> = []
  /** The newest write that is durable and that the core has not been told of. */
  protected finished: number | undefined
  protected readonly world: CoreWorld

  constructor(config: Config, recovered: Recovered, world: CoreWorld) {
    this.raft = make(config, recovered)
    this.applied = recovered.applied
    this.world = world
  }

  /** Feeds one event, and carries out what came of it as far as that happens at once. */
  step(event: Event): ReadonlyArray<Output> {
    const outputs = step(this.raft, event)
    this.world.stepped?.(event, outputs)
    for (const output of outputs) {
      this.carryOut(output)
      this.world.carriedOut?.(output)
    }
    return outputs
  }

  protected carryOut(output: Output): void {
    switch (output._tag) {
      case "Send":
        return this.world.send(output.messages)
      case "Persist":
      case "RestartLog":
        this.writes.push(output)
        return
      case "Apply":
        this.applying = output
        return
      case "ReadLog":
        this.logReads.push(output)
        return
      case "SendSnapshot":
        this.snapshotsToSend.push(output)
        return
      case "Accepted":
      case "Refused":
      case "ReadReady":
      case "ReadRefused":
      case "RoleChanged":
      case "DirectoryRolledBack":
      case "Trace":
        return
    }
  }

  /** The oldest write becomes durable, and what promised it leaves. The core hears of it with {@link report}. */
  finishWrite(): boolean {
    const write = this.writes.shift()
    if (write === undefined) return false
    this.world.disk.write(write)
    if (write._tag === "Persist") this.becameDurable(write)
    return true
  }

  protected becameDurable({ persistId, thenSend }: Persist): void {
    this.finished = persistId
    this.world.send(thenSend)
  }

  /** Whether a write is durable that the core has not been told of. */
  get hasFinished(): boolean {
    return this.finished !== undefined
  }

  /** The core hears which writes are durable, the last of them standing for all. */
  report(): void {
    const { finished } = this
    if (finished === undefined) return
    this.finished = undefined
    this.step({ _tag: "Persisted", persistId: finished })
  }

  /** The state machine takes what it was handed; of entries that have to be read back, at most `mostReadBack`. */
  apply(mostReadBack = Infinity): void {
    const { applying } = this
    if (applying === undefined) return
    const next = this.applied + 1
    const entries = applying.entries === undefined
      ? this.readBack(next, Math.min(applying.through, next + mostReadBack - 1))
      : applying.entries.filter(({ index }) => index >= next)
    this.takeIn(entries)
    if (this.applied >= applying.through) this.applying = undefined
    this.step({ _tag: "Applied", index: this.applied })
  }

  protected takeIn(entries: ReadonlyArray<Entry>): void {
    this.world.applies(entries)
    this.applied = entries[entries.length - 1]?.index ?? this.applied
  }

  /** Reads durable entries. A committed one that is missing would be the loss of an acknowledged write. */
  private readBack(from: number, through: number): ReadonlyArray<Entry> {
    const entries: Array<Entry> = []
    for (let index = from; index <= through; index++) {
      const entry = this.world.disk.at(index)
      if (entry === undefined) throw new Error(`node ${this.raft.config.id} lost committed entry ${index}`)
      entries.push(entry)
    }
    return entries
  }

  /** Answers the oldest read of the log with at most `most` entries. */
  answerLogRead(most = Infinity): void {
    const read = this.logReads.shift()
    if (read === undefined) return
    const { from, peer, term, through } = read
    const entries: Array<Entry> = []
    for (let index: number = from; index <= through && entries.length < most; index++) {
      const entry = this.world.disk.at(index)
      if (entry === undefined) break
      entries.push(entry)
    }
    this.step({ _tag: "LogRead", peer, term, from, entries })
  }

  /** A snapshot took the place of the state: what waits to be applied is in it. */
  installed(point: LogPoint): void {
    this.applying = undefined
    this.applied = point.index
    this.step({ _tag: "SnapshotInstalled", point })
  }

  compacted(through: LogIndex): void {
    this.step({ _tag: "Compacted", through })
  }

  reportSnapshot(peer: NodeId, installed: LogPoint | undefined): void {
    this.step({ _tag: "SnapshotReported", peer, installed })
  }
}
