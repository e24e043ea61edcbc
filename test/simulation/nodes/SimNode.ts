/** One node of a simulation: its machine (disk, clocks), and the process that runs on it while one does. */
import type { Scope } from "effect"
import { Cause, Clock, Context, Effect, Exit, Layer, Logger, References, Scheduler, Scope as Scopes } from "effect"
import { Random as EffectRandom } from "effect"
import type { FlareDbConfig } from "../../../src/config/FlareDbConfig.ts"
import { tickMs } from "../../../src/config/FlareDbConfig.ts"
import { recordKey } from "../../../src/kv/model/Keyspace.ts"
import { ChangeFeed } from "../../../src/kv/ChangeFeed.ts"
import * as KvStateMachine from "../../../src/kv/KvStateMachine.ts"
import { OwnLevel } from "../../../src/machine/OwnLevel.ts"
import * as OwnIdentity from "../../../src/machine/OwnIdentity.ts"
import { StateMachine } from "../../../src/machine/StateMachine.ts"
import { RaftNode } from "../../../src/node/RaftNode.ts"
import { StepObserver } from "../../../src/node/StepObserver.ts"
import type { Raft } from "../../../src/raft/Raft.ts"
import { NodeId } from "../../../src/raft/Types.ts"
import { baselineLevel, FeatureTable } from "../../../src/protocol/FeatureLevel.ts"
import { RandomBytes } from "../../../src/RandomBytes.ts"
import { DataDir } from "../../../src/storage/DataDir.ts"
import { NewFormat } from "../../../src/storage/DirectoryMarker.ts"
import { FloorFile } from "../../../src/storage/DurableFloor.ts"
import { RocksDb } from "../../../src/storage/rocksdb/RocksDb.ts"
import { EntriesReadAtStart } from "../../../src/storage/RecoveredLog.ts"
import * as RocksLogStore from "../../../src/storage/rocksdb/RocksLogStore.ts"
import * as RocksStateStore from "../../../src/storage/rocksdb/RocksStateStore.ts"
import { RaftTimer } from "../../../src/timer/RaftTimer.ts"
import type { ObservedDisk, ObservedNode } from "../engine/Oracle.ts"
import { demand } from "../engine/Oracle.ts"
import type { Random } from "../Random.ts"
import { DurableView } from "./DurableView.ts"
import type { MachineClock } from "../engine/SimClock.ts"
import { makeClock } from "../engine/SimClock.ts"
import { damageDisk, entriesReadAtStart } from "./Damage.ts"
import type { CrashLoss } from "./SimDisk.ts"
import { nameOf, SimDisk } from "./SimDisk.ts"
import type { NodeWorld } from "./NodeWorld.ts"
import { levelOf, levelsUpTo } from "./Releases.ts"
import { SimEngine } from "./SimEngine.ts"
import { simFloorFile } from "./SimFloorFile.ts"
import { simTransport } from "./SimTransport.ts"
import { SimProcess } from "../engine/SimProcess.ts"
import { TickShadow } from "./TickShadow.ts"

/** The services of a node that runs. */
export interface Running {
  readonly node: RaftNode["Service"]
  readonly feed: ChangeFeed["Service"]
  readonly level: OwnLevel["Service"]
}

/** What the stored key of a record begins with. */
const recordPrefix = nameOf(recordKey(new Uint8Array(0)))

const reasonOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}

export class SimNode implements ObservedNode {
  readonly id: NodeId
  readonly config: FlareDbConfig
  storage = new SimDisk()
  /** What the disk keeps, for the oracle. */
  disk = new DurableView(this.storage, undefined)
  readonly clock: MachineClock
  process: SimProcess | undefined
  running: Running | undefined
  raft: Raft | undefined
  seenCommit = 0
  /** The highest feature level that the release on its machine knows, which the next process will run. */
  installed: number
  /** That which its latest process knows. */
  known: number
  /** Processes so far. */
  runs = 0
  /** Damage to the disk since its last process ended, which the next one has to notice when it starts. */
  unnoticed: string | undefined
  /** Why this process may stop, once there is a reason. */
  expectedFailure: string | undefined
  /** The last revision of the state that the process found when it started. */
  startRevision = 0
  private copied: SimDisk | undefined
  /** The process is ending, or has to: why nothing may be heard of it any more. */
  silenced: string | undefined
  /** It was asked to end, and waits for its disk. */
  private closing = false
  private staleRevision = 0
  private context: Context.Context<never> = Context.empty()
  private scope: Scope.Closeable | undefined
  private engine: SimEngine | undefined
  private readonly world: NodeWorld

  constructor(config: FlareDbConfig, world: NodeWorld, clock: MachineClock, known = baselineLevel) {
    this.id = NodeId(config.nodeId)
    this.installed = known
    this.known = known
    this.config = config
    this.world = world
    this.clock = clock
  }

  /** Copies the directory as it is on the disk, while a process may use it. */
  copyDirectory(): void {
    if (this.isWhole) this.copied = this.storage.copy()
  }

  /** The directory is put back to what it was when it was copied. Only for a node without a process. */
  putBack(): void {
    if (this.copied === undefined) return
    this.storage = this.copied.copy()
    this.disk = new DurableView(this.storage, this.disk)
  }

  /** What would be there after {@link putBack}. */
  get older(): ObservedDisk | undefined {
    return this.copied === undefined ? undefined : new DurableView(this.copied, undefined)
  }

  /** The disk is replaced by an empty one. */
  wipe(): void {
    this.copied = undefined
    this.storage = new SimDisk()
    this.unnoticed = undefined
    this.disk = new DurableView(this.storage, this.disk)
  }

  /** Whether a process runs and is not stopped. */
  get isAwake(): boolean {
    return this.process?.isStopped === false
  }

  /** Whether this node has all that it ever promised, as far as its disk knows. */
  get isWhole(): boolean {
    return this.storage.durable.raft_state.length > 0 && this.disk.hardState.membership === undefined &&
      this.storage.damaged.size === 0
  }

  /** The feature level that the directory asks of every process, durably. */
  get requiredLevel(): number {
    return this.disk.requiredLevel
  }

  /** Power is lost while no process runs. */
  losePower(random: Random): CrashLoss & { readonly lostState: boolean } {
    const before = this.storage.applied
    const loss = this.storage.crash(random)
    return { ...loss, lostState: this.storage.applied < before }
  }

  /** Damages the disk in some way and says how; what it held before is what the oracle still goes by. */
  damage(random: Random): string | undefined {
    const before = new DurableView({ durable: this.storage.durable }, this.disk.before)
    const damage = damageDisk(this.storage, random, this.process === undefined)
    if (damage === undefined) return undefined
    this.disk = new DurableView(this.storage, before)
    this.expectedFailure ??= damage.what
    if (this.process === undefined && damage.showsAtStart) this.unnoticed = damage.what
    return damage.what
  }

  /** The keys of the state that is active, as their clients know them. */
  userKeys(): ReadonlyArray<string> {
    const rows = (this.engine?.image ?? this.storage.image)[this.storage.active]
    return rows.flatMap(({ name }) => name.startsWith(recordPrefix) ? [name.slice(1)] : [])
  }

  /** The latest revision that a stale read of this process has shown. */
  get shownRevision(): number {
    return this.staleRevision
  }

  /** A stale read shows a revision; `floor` was shown when it began. */
  sawStale(revision: number, floor: number): void {
    demand(
      revision >= floor,
      "stale reads do not go back",
      () => `n${this.id} showed revision ${floor} before ${revision}`
    )
    this.staleRevision = Math.max(this.staleRevision, revision)
  }

  /** Runs an effect in the node's process. */
  run<A, E>(effect: Effect.Effect<A, E>, done: (exit: Exit.Exit<A, E>) => void): void {
    Effect.runForkWith(this.context)(effect).addObserver(done)
  }

  start(): void {
    const { random, timeline, watcher } = this.world
    const process = new SimProcess(timeline)
    this.process = process
    this.seenCommit = 0
    this.runs += 1
    this.staleRevision = 0
    this.known = this.installed
    this.expectedFailure = this.known < this.requiredLevel ? "its release is too old" : undefined
    this.silenced = undefined
    this.closing = false
    const seeded = random.below(2 ** 31)
    const shadow = new TickShadow()
    this.context = Context.empty().pipe(
      Context.add(Scheduler.Scheduler, process.queue),
      Context.add(Clock.Clock, makeClock(process, this.clock)),
      Context.add(EffectRandom.Random, {
        nextIntUnsafe: () => seeded,
        nextDoubleUnsafe: () => seeded / 2 ** 31
      }),
      Context.add(StepObserver, {
        started: shadow.started,
        stepped: (raft, event, outputs) => {
          this.raft = raft
          shadow.stepped(raft, event, outputs)
          watcher.stepped(this, raft, event, outputs)
        },
        snapshotRequested: shadow.snapshotRequested
      }),
      Context.add(References.MinimumLogLevel, watcher.log === undefined ? "None" : "Debug"),
      Context.add(Logger.CurrentLoggers, new Set(this.loggers())),
      // The same bytes for every candidate would hide which one wins.
      Context.add(RandomBytes, (size) => Buffer.from([this.id, this.runs, ...new Uint8Array(size - 2)])),
      Context.add(FloorFile, simFloorFile(this, this.world, process)),
      Context.add(EntriesReadAtStart, entriesReadAtStart),
      Context.add(FeatureTable, levelsUpTo(this.known))
    ) as Context.Context<never>
    const scope = Scopes.makeUnsafe()
    this.scope = scope
    process.enter(() =>
      this.run(Scopes.provide(Layer.build(Layer.fresh(this.layer(process))), scope), (exit) => {
        if (this.process !== process) return
        if (Exit.isFailure(exit)) return watcher.ended(this, reasonOf(exit.cause), false)
        this.running = {
          node: Context.get(exit.value, RaftNode),
          feed: Context.get(exit.value, ChangeFeed),
          level: Context.get(exit.value, OwnLevel)
        }
        this.startRevision = this.running.feed.revision()
        this.run(this.running.node.fatal, (end) => {
          if (this.process === process && Exit.isFailure(end)) watcher.ended(this, reasonOf(end.cause), true)
        })
        watcher.started(this)
      })
    )
  }

  private loggers(): ReadonlyArray<Logger.Logger<unknown, void>> {
    const { log } = this.world.watcher
    return log === undefined
      ? []
      : [Logger.make(({ message }) => log(this, [message].flat().map(String).join(" ")))]
  }

  private layer(process: SimProcess) {
    const { config } = this
    const { health } = this.world
    const path = `n${this.id}`
    const created = this.storage.isNew
    const engine = new SimEngine(
      this.storage,
      process,
      health(this.id),
      path,
      (index, digest) => this.world.watcher.completes(this, index, digest)
    )
    this.engine = engine
    const voters = config.nodes.map(({ id }) => id)
    // The simulated disk has a database, and no files. `segments-model.test.ts` does the same to files.
    const directory = Layer.provide(
      DataDir.layerOpened({ path, clusterId: config.clusterId, nodeId: this.id, voters }, created),
      Layer.succeed(NewFormat, 4)
    )
    const stores = Layer.mergeAll(RocksLogStore.layer, RocksStateStore.layer).pipe(
      Layer.provideMerge(directory),
      Layer.provideMerge(Layer.effect(RocksDb, engine.open))
    )
    const machine = Layer.provideMerge(
      Layer.effect(StateMachine, Effect.map(StateMachine, (store) => ({ ...store, levelOf }))),
      KvStateMachine.layerWith(config.limits)
    )
    return RaftNode.layer(config).pipe(
      Layer.provideMerge(Layer.effect(StateMachine, Effect.map(StateMachine, (machine) => this.watched(machine)))),
      Layer.provideMerge(Layer.provideMerge(OwnIdentity.layer, machine)),
      Layer.provide([stores, simTransport(this, this.world, process), RaftTimer.layer({ tickMs: tickMs(config) })])
    )
  }

  private watched(machine: StateMachine["Service"]): StateMachine["Service"] {
    const { watcher } = this.world
    return {
      ...machine,
      apply: (entries) =>
        Effect.suspend(() => {
          watcher.applies(this, entries)
          return Effect.map(machine.apply(entries), (replies) => {
            // A machine may stop before the last entry; the node calls again with what is left.
            watcher.applied(this, entries.slice(0, replies.length), replies)
            return replies
          })
        })
    }
  }

  /** The process ends without a word; what its system had been given to write is still written. */
  kill(): void {
    this.process?.kill()
    this.process = undefined
    this.running = undefined
    this.raft = undefined
    this.engine = undefined
    this.scope = undefined
    this.world.network.detach(this.id)
  }

  /** Whether the process was asked to end and has not ended yet. */
  get isClosing(): boolean {
    return this.closing
  }

  /** The process is asked to end (SIGTERM), and ends once it has finished. */
  shutDown(ended: () => void): void {
    const { process, scope } = this
    if (process === undefined || scope === undefined) return
    this.closing = true
    this.expectedFailure ??= "it was asked to end"
    process.enter(() =>
      this.run(Scopes.close(scope, Exit.void), () => {
        if (this.process !== process) return
        this.kill()
        ended()
      })
    )
  }
}
