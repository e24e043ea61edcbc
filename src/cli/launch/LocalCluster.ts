/** The command that runs a whole cluster on one machine: a process for each node, all gone when this one is. */
import { Data, Deferred, Effect, Exit, Fiber, FileSystem, Option, Queue, Schedule, Scope, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import { ChildProcess } from "effect/process"
import { certificatesFromFolder } from "../../client/CertificateFiles.ts"
import { ClusterAdmin } from "../../client/ClusterAdmin.ts"
import * as RemoteClient from "../../client/RemoteClient.ts"
import type { NodeAddress } from "../../config/NodeAddress.ts"
import * as NodeConfig from "../../config/index.ts"
import { createDirectory } from "../../storage/Folder.ts"
import { withDefault } from "../input/DefaultValue.ts"
import { makeSwitch } from "../input/Switch.ts"
import { exitCodes, failed, Failure, failureOf, wrongUsage } from "../output/Failure.ts"
import { LastWords } from "../output/LastWords.ts"
import { launcher } from "../Launcher.ts"
import * as Output from "../output/Output.ts"
import { clientFolder, makeCertificates, nodeFolder } from "./ClusterCertificates.ts"
import { processSettings } from "./ProcessSettings.ts"
import { stopWithParentVariable } from "../commands/Start.ts"
import { table } from "../output/Table.ts"

/** How long a node may take to stop before it is killed. */
const stopSeconds = 10

export interface ClusterOptions {
  readonly clusterId: string
  readonly nodes: ReadonlyArray<NodeAddress>
  readonly dataDir: string
  /** Whether it has certificates, which are made in its folder. */
  readonly tls?: boolean | undefined
}

/** Where the certificates of a cluster with TLS are. */
const certificates = (options: ClusterOptions): string | undefined =>
  options.tls === true ? `${options.dataDir}/certs` : undefined

/** Settings of certificates that are meant for clients, or for other nodes. */
const foreignVariables = [
  "FLAREDB_TRUSTED_CA_FILE",
  "FLAREDB_CERT_FILE",
  "FLAREDB_KEY_FILE",
  "FLAREDB_PEER_TRUSTED_CA_FILE",
  "FLAREDB_PEER_CERT_FILE",
  "FLAREDB_PEER_KEY_FILE",
  "FLAREDB_TOKEN",
  "FLAREDB_TOKEN_FILE"
]

const certificateVariables = (options: ClusterOptions, id: number): Record<string, string | undefined> => {
  const folder = certificates(options)
  return {
    ...Object.fromEntries(foreignVariables.map((name) => [name, undefined])),
    FLAREDB_CERTS_DIR: folder === undefined ? undefined : nodeFolder(folder, id),
    FLAREDB_TLS: folder === undefined ? "off" : "on"
  }
}

/** Each node has an audit log of its own: they would rotate one under each other. */
const auditVariables = (id: number): Record<string, string> => {
  const file = process.env["FLAREDB_AUDIT_LOG"]
  return file === undefined || file === "" ? {} : { FLAREDB_AUDIT_LOG: `${file}.node-${id}` }
}

const logFile = (options: ClusterOptions, id: number) => `${options.dataDir}/node-${id}.log`

const dataDir = (options: ClusterOptions, id: number) => `${options.dataDir}/node-${id}`

/** The command that starts one node of this cluster again. */
const startCommand = (options: ClusterOptions, id: number): string => {
  const { clusterId, nodes } = options
  const command = ["npx flaredb start --node-id", id, "--data-dir", dataDir(options, id)]
  if (clusterId !== NodeConfig.defaults.clusterId) command.push("--cluster-id", clusterId)
  const folder = certificates(options)
  if (folder !== undefined) command.push("--certs-dir", nodeFolder(folder, id))
  if (nodes !== NodeConfig.defaults.nodes) command.push("--nodes", NodeConfig.formatNodes(nodes))
  return command.join(" ")
}

/** The process of a node has ended. */
export class NodeEnded extends Data.TaggedError("NodeEnded")<{
  readonly id: number
  /** "exit code 1" or the like. */
  readonly how: string
  /** What it said last; empty when that is nothing but its log. */
  readonly why: string
}> {}

/**
 * Starts a node and gives its process id once it is ready; fails when it ends before. `ended` learns of a later end,
 * whenever that is.
 */
export const startNode = Effect.fnUntraced(function*(
  options: ClusterOptions,
  id: number,
  ended: Queue.Enqueue<NodeEnded>
) {
  const files = yield* FileSystem.FileSystem
  const handle = yield* ChildProcess.make(process.execPath, [launcher, "start", "--log-format", "json"], {
    env: {
      FLAREDB_NODE_ID: String(id),
      FLAREDB_NODES: NodeConfig.formatNodes(options.nodes),
      FLAREDB_CLUSTER_ID: options.clusterId,
      FLAREDB_DATA_DIR: dataDir(options, id),
      FLAREDB_LISTEN_HOST: undefined,
      ...certificateVariables(options, id),
      ...auditVariables(id),
      [stopWithParentVariable]: "true",
      ...processSettings(process.env)
    },
    extendEnv: true,
    stdin: "pipe",
    killSignal: "SIGTERM",
    forceKillAfter: `${stopSeconds} seconds`
  })
  const ready = yield* Deferred.make<void, NodeEnded>()
  const words = new LastWords()
  const log = handle.stderr.pipe(
    Stream.tap((chunk) => Effect.sync(() => words.take(chunk))),
    Stream.run(files.sink(logFile(options, id)))
  )
  const logged = yield* Effect.forkScoped(Effect.ignore(log))
  const output = handle.stdout.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.runForEach((line) => line.startsWith("READY ") ? Deferred.succeed(ready, undefined) : Effect.void),
    Effect.ignore
  )
  const watch = Effect.gen(function*() {
    yield* output
    const exit = yield* Effect.exit(handle.exitCode)
    // The last line of the log says why, and may still be in the pipe.
    yield* Fiber.await(logged)
    const how = Exit.isSuccess(exit) ? `exit code ${exit.value}` : "a signal"
    const end = new NodeEnded({ id, how, why: words.text() })
    // The wait for it to be ready reports its end.
    if (!(yield* Deferred.fail(ready, end))) yield* Queue.offer(ended, end)
  })
  yield* Effect.forkScoped(watch)
  yield* Deferred.await(ready)
  return Number(handle.pid)
})

/** How long a node, or the cluster, may take to be ready before that is said, again and again. */
const lateSeconds = 30

/** Says what is waited for, as long as that is so. */
export const sayingLate = (what: string): Effect.Effect<never> =>
  Effect.forever(Effect.andThen(Effect.sleep(`${lateSeconds} seconds`), Output.problem(`flaredb: ${what}`)))

/**
 * Starts all nodes with `start`, which starts the one with an id. They stop side by side: one that does not stop before
 * it is killed holds up no other.
 */
export const startNodes = Effect.fnUntraced(function*<A, E, R>(
  { nodes }: ClusterOptions,
  start: (id: number) => Effect.Effect<A, E, R | Scope.Scope>
) {
  const all = yield* Scope.fork(yield* Effect.scope, "parallel")
  return yield* Effect.forEach(
    nodes,
    ({ id }) => Effect.flatMap(Scope.fork(all), (own) => Scope.provide(start(id), own)),
    { concurrency: "unbounded" }
  )
})

/** Why the cluster does not start. */
const startFailure = (options: ClusterOptions, { how, id, why }: NodeEnded): Failure => {
  const log = `its log is ${logFile(options, id)}`
  return new Failure({
    exitCode: exitCodes.failed,
    line: why === "" ? `node ${id} ended with ${how}; ${log}` : `${why} (node ${id} ended; ${log})`,
    tag: "Failed",
    fields: {}
  })
}

/** What a node of a running cluster leaves to be said at its end. */
const endText = (options: ClusterOptions, { how, id, why }: NodeEnded): string =>
  `node ${id} ended with ${how}; its log is ${logFile(options, id)}; start it again with ${startCommand(options, id)}${
    why === "" ? "" : `\nflaredb: node ${id} said: ${why}`
  }`

/** Where to find the cluster, once it has a leader. */
const describe = Effect.fnUntraced(function*(options: ClusterOptions) {
  const { nodes } = options
  const folder = certificates(options)
  const client = RemoteClient.layer({
    endpoints: nodes.map(({ clientPort, host }) => ({ host, port: clientPort })),
    ...folder === undefined
      ? {}
      : { tls: yield* Effect.mapError(certificatesFromFolder(clientFolder(folder)), failureOf) }
  })
  const leading = Effect.flatMap(ClusterAdmin, (admin) =>
    Effect.flatMap(admin.status, (answers) => {
      const leader = answers.find(({ report }) => report?.role === "leader")?.report?.nodeId
      return leader === undefined ? Effect.fail("none yet") : Effect.succeed(leader)
    }))
  const leader = yield* Effect.provide(Effect.retry(leading, Schedule.spaced(20)), client)
  const rows = nodes.map(({ clientPort, host, httpPort, id, peerPort }) => [
    String(id),
    `${host}:${clientPort}`,
    `${host}:${peerPort}`,
    `${folder === undefined ? "http" : "https"}://${host}:${httpPort}/`,
    id === leader ? "leader" : "follower"
  ])
  const local = nodes.every((node, i) => node.clientPort === NodeConfig.localNodes[i]?.clientPort)
  const flags = [
    ...folder === undefined ? [] : [` --certs-dir ${clientFolder(folder)}`],
    ...local ? [] : [` --endpoints ${nodes.map((node) => `${node.host}:${node.clientPort}`).join(",")}`]
  ].join("")
  return [
    `FlareDB runs: ${nodes.length} nodes, data and logs in ${options.dataDir}`,
    "",
    table([["NODE", "CLIENTS", "PEERS", "CONSOLE", "ROLE"], ...rows]),
    "",
    "In another terminal:",
    `  npx flaredb put${flags} greeting "hello, world"`,
    `  npx flaredb get${flags} greeting`,
    `  npx flaredb status${flags}`,
    "",
    "Ctrl-C ends all nodes; the data stays."
  ].join("\n")
})

/** How often it is looked for whether npm still runs, in milliseconds. */
const npmCheckMs = 500

/**
 * Fails once the `npm start` that this process belongs to is gone. npm gives its scripts no pipe that would close with
 * it, but this process then gets another parent. Other scripts may start a cluster and end before it does, so only
 * this one counts.
 */
const npmGone = Effect.suspend(() => {
  const { npm_lifecycle_event: script, npm_package_name: name } = process.env
  if (script !== "start" || name !== "flaredb") return Effect.never
  const npm = process.ppid
  return Effect.sync(() => process.ppid).pipe(
    Effect.repeat({ schedule: Schedule.spaced(npmCheckMs), until: (parent) => parent !== npm }),
    Effect.andThen(failed("npm is gone; stopping the nodes"))
  )
})

/** Tells of each node that ends, and fails once none is left. */
const ends = Effect.fnUntraced(function*(options: ClusterOptions, ended: Queue.Dequeue<NodeEnded>) {
  for (let left = options.nodes.length; left > 0; left--) {
    yield* Output.problem(`flaredb: ${endText(options, yield* Queue.take(ended))}`)
    if (left === 2) {
      yield* Output.problem("flaredb: one node is left; nothing can be written until this command is run again")
    }
  }
  return yield* failed("all nodes have ended")
})

/** Runs the cluster until it is interrupted, or until no node is left. */
const run = Effect.fnUntraced(function*(options: ClusterOptions) {
  yield* Effect.try({ try: () => createDirectory(options.dataDir), catch: failureOf })
  const folder = certificates(options)
  if (folder !== undefined) yield* makeCertificates(folder, options)
  const ended = yield* Queue.unbounded<NodeEnded>()
  const start = (id: number) =>
    startNode(options, id, ended).pipe(
      Effect.catchTag("NodeEnded", (end) => Effect.fail(startFailure(options, end))),
      Effect.mapError(failureOf),
      Effect.raceFirst(sayingLate(`node ${id} is not ready yet; its log is ${logFile(options, id)}`))
    )
  yield* startNodes(options, start)
  const described = describe(options).pipe(
    Effect.raceFirst(sayingLate(`no node leads yet; their logs are in ${options.dataDir}`)),
    Effect.flatMap(Output.lines)
  )
  // A leader may never be there, when nodes have ended before.
  return yield* Effect.raceFirst(Effect.andThen(described, Effect.never), ends(options, ended))
}, Effect.scoped)

export const cluster = Command.make("cluster", {
  dataDir: Flag.String("data-dir").pipe(
    Flag.withMetavar("DIR"),
    withDefault("folder for the nodes' data and logs", "./data")
  ),
  clusterId: Flag.String("cluster-id").pipe(
    Flag.withMetavar("NAME"),
    withDefault<string>("name of the cluster", NodeConfig.defaults.clusterId)
  ),
  nodes: Flag.String("nodes").pipe(
    Flag.withMetavar("ID=HOST:CLIENT:PEER:HTTP,…"),
    Flag.withDescription("the nodes; default 127.0.0.1 with ports 7001–7003, 7101–7103 and 7201–7203"),
    Flag.optional
  ),
  tls: makeSwitch("tls").pipe(
    Flag.withDescription("make certificates in the folder and use them on all ports; default plain connections"),
    Flag.withDefault(false)
  )
}, (flags) =>
  Effect.gen(function*() {
    const nodes = Option.isSome(flags.nodes)
      ? yield* NodeConfig.parseNodes(flags.nodes.value)
      : NodeConfig.defaults.nodes
    const [first] = nodes
    if (first === undefined) return yield* wrongUsage("--nodes names no node")
    if (flags.dataDir === "") return yield* wrongUsage("--data-dir is empty")
    yield* NodeConfig.make({ nodeId: first.id, nodes, clusterId: flags.clusterId })
    yield* Effect.raceFirst(run({ clusterId: flags.clusterId, nodes, dataDir: flags.dataDir, tls: flags.tls }), npmGone)
  }).pipe(Effect.mapError(failureOf))).pipe(
    Command.withDescription(
      "Run a whole cluster on this machine, for development: three real nodes. flaredb cluster version shows what " +
        "the nodes of a running cluster are."
    ),
    Command.withExamples([
      { command: "flaredb cluster", description: "Three nodes, data in ./data" },
      { command: "flaredb cluster --tls", description: "The same with certificates, and a client line that works" }
    ])
  )
