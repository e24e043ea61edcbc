/**
 * Real nodes: processes of the built package on free loopback ports with data in a temporary folder, all gone with
 * the scope. Their logs are kept and shown when the test fails.
 */
import { Deferred, Effect, Exit, Fiber, FileSystem, Option, Scope, Stream } from "effect"
import { ChildProcess } from "effect/process"
import type { ChildProcessHandle } from "effect/process/ChildProcessSpawner"
import type { NodeReport } from "../../src/protocol/NodeReport.ts"
import { ClusterAdmin } from "../../src/client/ClusterAdmin.ts"
import type { Endpoint } from "../../src/client/connection/Endpoint.ts"
import { formatEndpoint } from "../../src/client/connection/Endpoint.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import type { NodeAddress } from "../../src/config/NodeAddress.ts"
import { formatNodes } from "../../src/config/NodeAddress.ts"
import { waitMs } from "../Eventually.ts"
import { KeptLog } from "../KeptLog.ts"
import { cleanEnv, launcher } from "./Flaredb.ts"
import { freePorts } from "../FreePorts.ts"

interface Running {
  readonly handle: ChildProcessHandle
  readonly scope: Scope.Closeable
  /** Ends when everything that the process wrote was read. */
  readonly read: Effect.Effect<void>
}

/** Log lines kept of each node. */
const keptLines = 400

export class ClusterNode {
  readonly id: number
  readonly address: NodeAddress
  readonly dataDir: string
  readonly kept = new KeptLog(keptLines)
  /** The name that the node is started under. */
  clusterId = "test"
  private readonly nodes: ReadonlyArray<NodeAddress>
  private readonly scope: Scope.Scope
  /** What Node runs, from its next start on. */
  program: ReadonlyArray<string>
  /** Further variables, from its next start on. */
  settings: Readonly<Record<string, string>>
  private readonly under: (dataDir: string) => ReadonlyArray<string>
  private running: Running | undefined

  constructor(
    address: NodeAddress,
    nodes: ReadonlyArray<NodeAddress>,
    dataDir: string,
    scope: Scope.Scope,
    program: ReadonlyArray<string>,
    settings: Readonly<Record<string, string>>,
    under: (dataDir: string) => ReadonlyArray<string>
  ) {
    this.program = program
    this.settings = settings
    this.under = under
    this.id = address.id
    this.address = address
    this.nodes = nodes
    this.dataDir = dataDir
    this.scope = scope
  }

  /** The last lines of its log. */
  get log(): ReadonlyArray<string> {
    return this.kept.lines
  }

  get endpoint(): Endpoint {
    return { host: this.address.host, port: this.address.clientPort }
  }

  get env(): Record<string, string> {
    return {
      FLAREDB_NODE_ID: String(this.id),
      FLAREDB_NODES: formatNodes(this.nodes),
      FLAREDB_DATA_DIR: this.dataDir,
      FLAREDB_CLUSTER_ID: this.clusterId,
      ...this.settings
    }
  }

  /** Starts the process and returns once it says that it is ready; fails with its log when it ends before. */
  readonly start = Effect.suspend(() => this.startProcess())

  private readonly startProcess = Effect.fnUntraced({ self: this }, function*(this: ClusterNode) {
    const scope = yield* Scope.fork(this.scope)
    const [command, ...args] = [...this.under(this.dataDir), process.execPath, ...this.program]
    const handle = yield* ChildProcess.make(command as string, args, {
      env: cleanEnv(this.env),
      extendEnv: true,
      stdin: "ignore",
      // At the end of a test. One that looks at how a node ends in good order stops it before.
      killSignal: "SIGKILL"
    }).pipe(Scope.provide(scope))
    const ready = yield* Deferred.make<void, Error>()
    const keep = (line: string) => this.kept.add(line)
    const lines = (stream: typeof handle.stdout, each: (line: string) => void) =>
      stream.pipe(
        Stream.decodeText(),
        Stream.splitLines,
        Stream.runForEach((line) => Effect.sync(() => each(line))),
        Effect.ignore
      )
    const read = yield* Effect.forkIn(
      Effect.all([
        lines(handle.stderr, keep),
        lines(handle.stdout, (line) => {
          keep(line)
          if (/^READY\b/.test(line)) Deferred.doneUnsafe(ready, Exit.void)
        })
      ], { concurrency: "unbounded", discard: true }),
      scope
    )
    this.running = { handle, scope, read: Effect.asVoid(Fiber.await(read)) }
    yield* Effect.forkIn(
      Effect.exit(Effect.andThen(Fiber.await(read), handle.exitCode)).pipe(
        Effect.andThen((exit) =>
          Deferred.fail(ready, new Error(`node ${this.id} ended before it was ready: ${exit}\n${this.log.join("\n")}`))
        )
      ),
      scope
    )
    yield* Deferred.await(ready)
  })

  get pid(): number {
    if (this.running === undefined) throw new Error(`node ${this.id} does not run`)
    return this.running.handle.pid
  }

  /** Ends the process with a signal, waits for its end and returns its exit code, absent when the signal ended it. */
  readonly stop = Effect.fnUntraced({ self: this }, function*(this: ClusterNode, signal: "SIGKILL" | "SIGTERM") {
    const { running } = this
    if (running === undefined) return undefined
    this.running = undefined
    process.kill(running.handle.pid, signal)
    return yield* this.endOf(running)
  })

  /** Waits until the process ends by itself, and gives its exit code, absent when a signal ended it. */
  readonly ended = Effect.suspend(() => {
    const { running } = this
    if (running === undefined) throw new Error(`node ${this.id} does not run`)
    return Effect.tap(this.endOf(running), () => Effect.sync(() => this.running = undefined))
  })

  /** The exit code comes before what a process wrote last: its end waits for that too. */
  private readonly endOf = Effect.fnUntraced(function*({ handle, read, scope }: Running) {
    const code = yield* Effect.exit(handle.exitCode)
    // A process that it started may live on, and hold the pipe open.
    yield* Effect.timeoutOption(read, "5 seconds")
    yield* Scope.close(scope, Exit.void)
    return Exit.isSuccess(code) ? Number(code.value) : undefined
  })

  /** Stops the process in its tracks: its sockets stay open, and nobody answers. */
  readonly pause = Effect.sync(() => process.kill(this.pid, "SIGSTOP"))

  readonly resume = Effect.sync(() => process.kill(this.pid, "SIGCONT"))
}

export interface Cluster {
  readonly nodes: ReadonlyArray<ClusterNode>
  readonly node: (id: number) => ClusterNode
  readonly endpoints: ReadonlyArray<Endpoint>
  /** For `--endpoints`. */
  readonly endpointList: string
  /** Waits until a node leads, and gives it. */
  readonly leader: Effect.Effect<ClusterNode, never, ClusterAdmin>
  readonly followers: Effect.Effect<ReadonlyArray<ClusterNode>, never, ClusterAdmin>
  /** Waits until the reports of all running nodes satisfy a condition, which it looks at every so often. */
  readonly until: (
    condition: (reports: ReadonlyArray<NodeReport>) => boolean,
    everyMs?: number
  ) => Effect.Effect<ReadonlyArray<NodeReport>, never, ClusterAdmin>
}

/** How often the state is asked for while waiting on it: three calls, which take two milliseconds of processor time. */
const askMs = 40

/** What of a report tells why a wait for it was in vain. */
const shown = (reports: ReadonlyArray<NodeReport>): string =>
  reports.map(({ applied, commit, nodeId, role, membership, term }) =>
    `${nodeId}: ${role} ${membership} of term ${term} at ${applied} of ${commit}`
  ).join("; ") || "silent"

/** What the nodes of a cluster find around them. */
export interface Surroundings {
  /** The names that the nodes are known by, in order; 127.0.0.1 where there is none. */
  readonly hosts?: ReadonlyArray<string>
  /** What runs Node, and must become the node's own process: a tracer, for example. */
  readonly under?: (dataDir: string) => ReadonlyArray<string>
  /** Further arguments of a node's program. */
  readonly args?: (dataDir: string) => ReadonlyArray<string>
}

/** For a test that failed. */
export const showLogs = ({ nodes }: Pick<Cluster, "nodes">): void => {
  for (const { id, log } of nodes) process.stderr.write(`--- log of node ${id}\n${log.join("\n")}\n`)
}

/**
 * Makes a cluster of `voters` nodes; nothing runs before `start`. `program` is what Node runs for each, configured by
 * variables: `flaredb start` unless a test says otherwise. `settings` are further variables, the same for all.
 */
export const make = Effect.fnUntraced(function*(
  voters: 1 | 3,
  program: ReadonlyArray<string> = [launcher, "start"],
  settings: Readonly<Record<string, string>> = {},
  { args = () => [], hosts = [], under = () => [] }: Surroundings = {}
) {
  const files = yield* FileSystem.FileSystem
  const folder = yield* files.makeTempDirectoryScoped({ prefix: "flaredb-cluster-" })
  const ports = yield* freePorts(voters * 3)
  const addresses: ReadonlyArray<NodeAddress> = Array.from({ length: voters }, (_, i) => ({
    id: i + 1,
    host: hosts[i] ?? "127.0.0.1",
    clientPort: ports[3 * i] as number,
    peerPort: ports[3 * i + 1] as number,
    httpPort: ports[3 * i + 2] as number
  }))
  const scope = yield* Effect.scope
  const nodes = addresses.map((address) => {
    const dataDir = `${folder}/node-${address.id}`
    return new ClusterNode(address, addresses, dataDir, scope, [...program, ...args(dataDir)], settings, under)
  })
  yield* Effect.addFinalizer((exit) =>
    Effect.sync(() => {
      if (Exit.isFailure(exit)) showLogs({ nodes })
    })
  )
  const endpoints = nodes.map((node) => node.endpoint)
  const node = (id: number): ClusterNode => {
    const found = nodes.find((one) => one.id === id)
    if (found === undefined) throw new Error(`there is no node ${id}`)
    return found
  }
  const reports = Effect.flatMap(
    ClusterAdmin,
    ({ status }) =>
      Effect.map(status, (answers) => answers.flatMap(({ report }) => report === undefined ? [] : [report]))
  )
  const until: Cluster["until"] = (condition, everyMs = askMs) =>
    Effect.suspend(() => {
      let last: ReadonlyArray<NodeReport> = []
      const look: Effect.Effect<ReadonlyArray<NodeReport>, never, ClusterAdmin> = Effect.flatMap(reports, (now) => {
        last = now
        return condition(now) ? Effect.succeed(now) : Effect.andThen(Effect.sleep(everyMs), look)
      })
      const inVain = () => Effect.die(new Error(`nodes did not come to be as ${condition}; they are ${shown(last)}`))
      return Effect.timeoutOrElse(look, { duration: waitMs(), orElse: inVain })
    })
  const leads = (all: ReadonlyArray<NodeReport>) => {
    const leaders = all.filter((report) => report.role === "leader").sort((a, b) => b.term - a.term)
    return Option.fromUndefinedOr(leaders[0])
  }
  const leader = Effect.map(
    until((all) => Option.isSome(leads(all))),
    (all) => node(Option.getOrThrow(leads(all)).nodeId)
  )
  return {
    nodes,
    node,
    endpoints,
    endpointList: endpoints.map(formatEndpoint).join(","),
    leader,
    followers: Effect.map(leader, (leading) => nodes.filter((one) => one !== leading)),
    until
  } satisfies Cluster
})

/** Starts all nodes at once. */
export const start = (cluster: Cluster) =>
  Effect.forEach(cluster.nodes, (node) => node.start, { concurrency: "unbounded", discard: true })

/** A client of the cluster, as services have it. */
export const client = (cluster: Cluster, requestTimeoutMs = 60_000) =>
  FlareDb.layerClient({ endpoints: cluster.endpoints, requestTimeoutMs })
