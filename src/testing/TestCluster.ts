/**
 * A cluster of real nodes on a network, disks and a clock under a test's control. What a node is made of is the same
 * as in production, but for the ports below it: memory in place of RocksDB and TCP.
 *
 * Time passes when the test says so: pass `TestClock.adjust(…)` as `passTime`, or nothing to use the real clock.
 */
import { Context, Effect, Exit, Layer, Option, Scope } from "effect"
import type { ClusterAdmin } from "../client/ClusterAdmin.ts"
import type { Commands } from "../client/Commands.ts"
import type { Connect } from "../client/connection/Connection.ts"
import { ConnectionLost } from "../client/connection/Connection.ts"
import type { Endpoint } from "../client/connection/Endpoint.ts"
import { formatEndpoint } from "../client/connection/Endpoint.ts"
import * as RemoteClient from "../client/RemoteClient.ts"
import * as RemoteCommands from "../client/RemoteCommands.ts"
import * as FlareDbConfig from "../config/index.ts"
import type { ReadError, WriteError } from "../FlareDbError.ts"
import type { Command } from "../kv/model/Command.ts"
import { encodeCommand } from "../kv/model/Command.ts"
import type { Query } from "../kv/model/Query.ts"
import { encodeQuery } from "../kv/model/Query.ts"
import type { Reply } from "../kv/model/Reply.ts"
import { decodeReply } from "../kv/model/ReplyCodec.ts"
import * as KvStateMachine from "../kv/KvStateMachine.ts"
import * as OwnIdentity from "../machine/OwnIdentity.ts"
import type { StateMachine } from "../machine/StateMachine.ts"
import type { NodeStatus } from "../node/NodeStatus.ts"
import type { Consistency } from "../protocol/ReadMode.ts"
import { RaftNode } from "../node/RaftNode.ts"
import { NodeId } from "../raft/Types.ts"
import * as NodeOperations from "../server/NodeOperations.ts"
import { WatchServer } from "../server/WatchServer.ts"
import * as MemoryStore from "../storage/memory/MemoryStore.ts"
import type { StateStore } from "../storage/StateStore.ts"
import type { DataDirRefused, StorageError } from "../storage/StorageError.ts"
import { RaftTimer } from "../timer/RaftTimer.ts"
import * as MemoryTransport from "../transport/memory/MemoryTransport.ts"
import { utf8Text } from "../bytes/Utf8.ts"

/** How many nodes, and what they start from. */
export interface TestClusterOptions {
  readonly voters: 1 | 3
  /** Decides which messages the network's faults hit. */
  readonly seed?: number | undefined
  /** Lets a little time pass, about a heartbeat. */
  readonly passTime?: Effect.Effect<void> | undefined
  readonly limits?: Partial<FlareDbConfig.Limits> | undefined
  /** What the nodes start from; empty disks when absent. */
  readonly disks?: ReadonlyArray<MemoryStore.MemoryDisk> | undefined
  /** What the nodes run in place of the key-value store. */
  readonly machine?: Layer.Layer<StateMachine, StorageError | DataDirRefused, StateStore> | undefined
}

/** Steps of waiting on a condition before it is taken for one that never comes. */
const maxSteps = 2_000

const encoder = new TextEncoder()

const endpointOf = (id: number): Endpoint => ({ host: "127.0.0.1", port: 7000 + id })

type Running = Context.Context<RaftNode | WatchServer>

/** One node: its disk outlives it. */
export class TestNode {
  readonly id: NodeId
  disk: MemoryStore.MemoryDisk
  private readonly build: (disk: MemoryStore.MemoryDisk) => Effect.Effect<Running, never, Scope.Scope>
  private running: { readonly services: Running; readonly scope: Scope.Closeable } | undefined

  constructor(
    id: NodeId,
    disk: MemoryStore.MemoryDisk,
    build: (disk: MemoryStore.MemoryDisk) => Effect.Effect<Running, never, Scope.Scope>
  ) {
    this.id = id
    this.disk = disk
    this.build = build
  }

  get isRunning(): boolean {
    return this.running !== undefined
  }

  /** The service of the node while it runs. */
  get node(): RaftNode["Service"] {
    return Context.get(this.services, RaftNode)
  }

  /** The watches that the node serves while it runs. */
  get watches(): WatchServer["Service"] {
    return Context.get(this.services, WatchServer)
  }

  private get services(): Running {
    if (this.running === undefined) throw new Error(`node ${this.id} does not run`)
    return this.running.services
  }

  readonly start: Effect.Effect<void, never, Scope.Scope> = Effect.suspend(() =>
    Effect.gen({ self: this }, function*() {
      if (this.running !== undefined) return
      const scope = yield* Scope.fork(yield* Effect.scope)
      this.running = { services: yield* Scope.provide(this.build(this.disk), scope), scope }
    })
  )

  /** Ends the node as SIGTERM does: what waits is answered. */
  readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    const { running } = this
    this.running = undefined
    return running === undefined ? Effect.void : Scope.close(running.scope, Exit.void)
  })

  /** Ends the node as a power loss does: what was not synced is gone. */
  readonly crash: Effect.Effect<void> = Effect.suspend(() =>
    Effect.andThen(this.stop, Effect.sync(() => this.disk.loseUnsynced()))
  )

  /** Ends the node and loses its disk: the next start finds an empty one, or `disk`. */
  wipe(disk?: MemoryStore.MemoryDisk): Effect.Effect<void> {
    return Effect.andThen(
      this.stop,
      Effect.sync(() => {
        this.disk = disk ?? new MemoryStore.MemoryDisk(this.disk.confState.voters)
      })
    )
  }

  /** Has a command carried out through this node, whether it leads or not. */
  run(command: Command): Effect.Effect<Reply | WriteError> {
    return Effect.map(this.node.propose([encodeCommand(command)]), ([result]) => answerOf(result))
  }

  /** Asks this node. */
  ask(query: Query, consistency: Consistency = "linearizable"): Effect.Effect<Reply | ReadError> {
    return Effect.map(this.node.query([encodeQuery(query)], consistency), ([result]) => answerOf(result))
  }

  /** Puts a key through this node, whether it leads or not. */
  put(key: string, value: string, lease = 0): Effect.Effect<Reply | WriteError> {
    return this.run({ _tag: "Put", key: encoder.encode(key), value: encoder.encode(value), lease })
  }

  /** The value of a key at this node. */
  get(key: string, consistency: Consistency = "linearizable"): Effect.Effect<string | undefined | ReadError> {
    return Effect.map(
      this.ask({ _tag: "Get", key: encoder.encode(key) }, consistency),
      (answer) =>
        answer._tag !== "GetReply"
          ? answer as ReadError
          : answer.record === undefined
          ? undefined
          : utf8Text(answer.record.value)
    )
  }
}

const answerOf = <Failure extends { readonly _tag: string }>(
  result: Uint8Array | Failure | undefined
): Reply | Failure => {
  if (result === undefined) throw new Error("an operation was not answered")
  if (!(result instanceof Uint8Array)) return result
  const reply = decodeReply(result)
  if (reply._tag === "Problem") throw new Error(reply.problem)
  return reply
}

/** One or three whole nodes in one process, on disks in memory and a network with faults, under a test's control. */
export class TestCluster {
  readonly nodes: ReadonlyArray<TestNode>
  readonly network: MemoryTransport.MemoryNetwork
  private readonly passTime: Effect.Effect<void>

  private constructor(
    nodes: ReadonlyArray<TestNode>,
    network: MemoryTransport.MemoryNetwork,
    passTime: Effect.Effect<void>
  ) {
    this.nodes = nodes
    this.network = network
    this.passTime = passTime
  }

  /** A cluster with all nodes running. It ends with the scope. */
  static readonly make = (options: TestClusterOptions): Effect.Effect<TestCluster, never, Scope.Scope> =>
    Effect.gen(function*() {
      const network = new MemoryTransport.MemoryNetwork(options.seed)
      const addresses = FlareDbConfig.localNodes.slice(0, options.voters)
      const ids = addresses.map(({ id }) => NodeId(id))
      const nodes = yield* Effect.forEach(ids, (id, i) =>
        Effect.gen(function*() {
          const config = yield* Effect.orDie(
            FlareDbConfig.make({ nodeId: id, clusterId: "test", nodes: addresses, limits: options.limits ?? {} })
          )
          const ports = (disk: MemoryStore.MemoryDisk) =>
            Layer.mergeAll(
              MemoryStore.layer(disk),
              MemoryTransport.layer(network, id, ids),
              RaftTimer.layer({ tickMs: FlareDbConfig.tickMs(config), stands: true })
            )
          const node = RaftNode.layer(config)
          const layer = options.machine === undefined
            ? WatchServer.layer(config.limits).pipe(
              Layer.provideMerge(node),
              Layer.provide(Layer.provideMerge(OwnIdentity.layer, KvStateMachine.layer))
            )
            : Layer.merge(WatchServer.layerNone, node).pipe(
              Layer.provide(Layer.provideMerge(OwnIdentity.layer, options.machine))
            )
          return new TestNode(
            id,
            options.disks?.[i] ?? new MemoryStore.MemoryDisk(ids),
            (disk) => Effect.orDie(Layer.build(Layer.fresh(Layer.provide(layer, ports(disk)))))
          )
        }))
      const cluster = new TestCluster(nodes, network, options.passTime ?? Effect.sleep(10))
      yield* Effect.forEach(nodes, (node) => node.start, { discard: true })
      return cluster
    })

  node(id: number): TestNode {
    const found = this.nodes.find((node) => node.id === id)
    if (found === undefined) throw new Error(`there is no node ${id}`)
    return found
  }

  /** The endpoints under which {@link connect} finds the nodes. */
  get endpoints(): ReadonlyArray<Endpoint> {
    return this.nodes.map(({ id }) => endpointOf(id))
  }

  /** How {@link client} and {@link commands} reach the nodes. A node that is down is not reached. */
  readonly connect: Connect = (endpoint) =>
    Effect.suspend(() => {
      const name = formatEndpoint(endpoint)
      const found = this.nodes.find((node) => formatEndpoint(endpointOf(node.id)) === name)
      if (found?.isRunning !== true) {
        return Effect.fail(new ConnectionLost({ endpoint: name, reason: "the node does not run", sent: false }))
      }
      const { node, watches } = found
      const down = new ConnectionLost({ endpoint: name, reason: "the node was stopped", sent: false })
      const isUp = () => found.isRunning && found.node === node
      const whileUp = <A, E>(work: Effect.Effect<A, E>): Effect.Effect<A, E | ConnectionLost> =>
        Effect.suspend((): Effect.Effect<A, E | ConnectionLost> => isUp() ? work : Effect.fail(down))
      return Effect.map(NodeOperations.make(node, watches, "test"), (operations) => ({
        ...operations,
        write: (commands, done) => isUp() ? operations.write(commands, done) : done(Exit.fail(down)),
        read: (queries, consistency, from, done) =>
          isUp() ? operations.read(queries, consistency, from, done) : done(Exit.fail(down)),
        status: whileUp(operations.status),
        vitals: whileUp(operations.vitals),
        transferLeader: (target) => whileUp(operations.transferLeader(target))
      }))
    })

  /** A client of the cluster with the key-value store: `KeyValue`, `Watch`, `Leases`, `Locks` and the others. */
  get client(): Layer.Layer<RemoteClient.ClientServices> {
    return Layer.orDie(RemoteClient.layerConnect({ endpoints: this.endpoints }, this.connect))
  }

  /** A client of the cluster for the state machine that it was made with. */
  get commands(): Layer.Layer<Commands | ClusterAdmin> {
    return Layer.orDie(RemoteCommands.layerConnect({ endpoints: this.endpoints }, this.connect))
  }

  /** Lets time pass until `condition` gives a value. Dies when it never does. */
  until<A>(what: string, condition: Effect.Effect<Option.Option<A>>): Effect.Effect<A> {
    const attempt = (left: number): Effect.Effect<A> =>
      Effect.flatMap(condition, (found) =>
        Option.isSome(found)
          ? Effect.succeed(found.value)
          : left === 0
          ? Effect.die(new Error(`waited in vain: ${what}`))
          : Effect.andThen(this.passTime, attempt(left - 1)))
    return attempt(maxSteps)
  }

  /** Where each running node stands. */
  readonly statuses: Effect.Effect<ReadonlyArray<NodeStatus>> = Effect.suspend(() =>
    Effect.forEach(this.nodes.filter((node) => node.isRunning), ({ node }) => node.status)
  )

  /**
   * Waits until one of `among` leads (all running nodes unless given) and knows the cluster's identity, and gives it.
   */
  leader(among: ReadonlyArray<TestNode> = this.nodes): Effect.Effect<TestNode> {
    return this.until(
      "a leader",
      Effect.gen(function*() {
        for (const one of among) {
          if (!one.isRunning) continue
          const { identity, role } = yield* one.node.status
          if (role === "leader" && identity !== undefined) return Option.some(one)
        }
        return Option.none()
      })
    )
  }

  /** Runs `work` while time passes, until it is done. */
  whileTimePasses<A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.scoped(
      Effect.flatMap(
        Effect.forkScoped(Effect.forever(Effect.andThen(this.passTime, Effect.yieldNow))),
        () => work
      )
    )
  }

  /** Waits until every running node has applied what the leader has committed. */
  readonly converged: Effect.Effect<void> = Effect.suspend(() =>
    Effect.asVoid(
      this.until(
        "all nodes to apply the same",
        Effect.map(this.statuses, (all) => {
          const leader = all.find(({ role }) => role === "leader")
          return leader !== undefined && leader.commit === leader.lastIndex &&
              all.every(({ applied }) => applied === leader.commit)
            ? Option.some(true)
            : Option.none()
        })
      )
    )
  )

  /** Cuts a node off from all others, in both directions. */
  isolate(node: TestNode): void {
    this.network.isolate(node.id, this.nodes.map(({ id }) => id))
  }

  /** Every link works again. */
  heal(): void {
    this.network.heal()
  }
}
