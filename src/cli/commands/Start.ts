/** The command that is a node: runs until it is stopped, or has to stop. */
import { Config, Context, Effect, Layer, Option, References, Stdio, Stream } from "effect"
import { Command, Flag } from "effect/cli"
import type { FlareDbConfig } from "../../config/FlareDbConfig.ts"
import { ownAddress } from "../../config/FlareDbConfig.ts"
import { unknownVariable, unknownVariables } from "../../config/UnknownVariables.ts"
import type { BoundAddress } from "../../net/Listening.ts"
import { failureOf, wrongUsage } from "../output/Failure.ts"
import { nodeConfig, nodeFlags } from "../input/NodeFlags.ts"
import * as Output from "../output/Output.ts"

/** Set by a process that started the node as its child: the node then stops when that process is gone. */
export const stopWithParentVariable = "FLAREDB_STOP_WITH_PARENT"

/** What a supervisor waits for on standard output, before anything else is printed there. */
const readyLine = (config: FlareDbConfig, client: BoundAddress, http: BoundAddress): string => {
  const { host, peerPort } = ownAddress(config)
  return `READY ${
    JSON.stringify({
      nodeId: config.nodeId,
      client: `${host}:${client.port}`,
      peer: `${host}:${peerPort}`,
      http: `${host}:${http.port}`,
      listens: client.addresses
    })
  }`
}

/**
 * Ends when standard input does, if the node is to stop with its parent, whose end of the pipe closes however it dies.
 */
const parentGone = Effect.gen(function*() {
  const wanted = yield* Config.option(Config.Boolean(stopWithParentVariable))
  if (!Option.getOrElse(wanted, () => false)) return yield* Effect.never
  const { stdin } = yield* Stdio.Stdio
  yield* Effect.ignore(Stream.runDrain(stdin))
  yield* Effect.logInfo("the process that started this node is gone; stopping")
})

/**
 * A node from its configuration to its end. What it needs is loaded here, because the other commands do not need it.
 */
const run = Effect.fnUntraced(function*(config: FlareDbConfig) {
  const [
    FlareDb,
    { RaftNode },
    { ClientAddress },
    { HttpAddress },
    { StatusSections },
    { KeyValue },
    { Leases },
    { statusSection },
    { ConsoleParts },
    { ReloadOnHangup },
    { setHeapGrowth }
  ] = yield* Effect.promise(() =>
    Promise.all([
      import("../../FlareDb.ts"),
      import("../../node/RaftNode.ts"),
      import("../../server/ClientServer.ts"),
      import("../../http/HttpServer.ts"),
      import("../../http/StatusSections.ts"),
      import("../../client/KeyValue.ts"),
      import("../../client/Lease.ts"),
      import("../../actors/overview/StatusSection.ts"),
      import("../../http/console/ConsoleParts.ts"),
      import("../../server/NodeSecurity.ts"),
      import("../launch/HeapGrowth.ts")
    ])
  )
  setHeapGrowth()
  for (const name of unknownVariables(process.env)) yield* Effect.logWarning(unknownVariable(name))
  const services = yield* Layer.build(FlareDb.layer(config)).pipe(
    // A terminal that is closed says so with the same signal, and then the node is to end.
    Effect.provideService(ReloadOnHangup, !process.stdin.isTTY)
  )
  const client = Context.get(services, ClientAddress)
  const http = Context.get(services, HttpAddress)
  yield* Context.get(services, StatusSections).add(
    statusSection(Context.get(services, KeyValue), Context.get(services, Leases))
  )
  yield* Context.get(services, ConsoleParts).add({
    name: "actors",
    // Effect's cluster is loaded when somebody looks at its actors.
    call: (name, payload) =>
      Effect.flatMap(
        Effect.promise(() => import("../../actors/console/ActorsPart.ts")),
        ({ actorsPart }) => actorsPart().call(name, payload) ?? Effect.fail({ _tag: "NotFound", message: name })
      )
  })
  yield* Output.lines(readyLine(config, client, http))
  yield* Effect.addFinalizer(() => Effect.logInfo("stopping: closing the ports and the database"))
  yield* Effect.raceFirst(Context.get(services, RaftNode).fatal, parentGone)
}, Effect.scoped)

/** Has all that reaches the core of the node written down. */
const traced = <A, E, R>(path: string, node: Effect.Effect<A, E, R>) =>
  Effect.scoped(Effect.gen(function*() {
    const [{ observer }, { StepObserver }] = yield* Effect.promise(() =>
      Promise.all([import("../../node/trace/TraceFile.ts"), import("../../node/StepObserver.ts")])
    )
    return yield* Effect.provideService(node, StepObserver, yield* observer(path))
  }))

export const start = Command.make("start", {
  ...nodeFlags,
  logFormat: Flag.Literals("log-format", ["auto", "json", "pretty"]).pipe(
    Flag.withDescription("form of the log on standard error; default auto, pretty on a terminal (FLAREDB_LOG_FORMAT)"),
    Flag.withFallbackConfig(Config.Literals(["auto", "json", "pretty"], "FLAREDB_LOG_FORMAT")),
    Flag.withDefault("auto" as const)
  ),
  trace: Flag.String("trace").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription(
      "write every event of the Raft core and its outputs to this file, commands included, for flaredb replay; for " +
        "finding faults: it is slow, and ends at 1 GiB; default none"
    ),
    Flag.optional
  )
}, (flags) =>
  Effect.gen(function*() {
    if (Option.contains(flags.trace, "")) return yield* wrongUsage("--trace is empty; name a file")
    const config = yield* nodeConfig(flags)
    const Logging = yield* Effect.promise(() => import("../launch/Logging.ts"))
    const logging = Logging.layer({
      format: flags.logFormat === "auto" ? Logging.formatFor(process.stderr) : flags.logFormat,
      level: yield* References.MinimumLogLevel,
      annotations: { node: config.nodeId, cluster: config.clusterId }
    })
    yield* Effect.provide(Option.isSome(flags.trace) ? traced(flags.trace.value, run(config)) : run(config), logging)
  }).pipe(Effect.mapError(failureOf))).pipe(
    Command.withDescription("Run one node of a cluster in this process."),
    Command.withExamples([
      { command: "flaredb start --node-id 1", description: "Node 1 of the local cluster, data in ./data/node-1" },
      {
        command: "flaredb start --node-id 2 --nodes " +
          "1=10.0.0.1:7001:7101:7201,2=10.0.0.2:7001:7101:7201,3=10.0.0.3:7001:7101:7201 " +
          "--certs-dir /etc/flaredb/certs",
        description: "Node 2 of a cluster on three machines, with the certificates that flaredb cert node 2 made"
      }
    ])
  )
