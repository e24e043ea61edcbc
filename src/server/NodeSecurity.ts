/**
 * What a node shows others, what it asks of its callers, and what it writes down of them: made from its configuration,
 * before anything is listened on. The certificates follow their files until the scope closes.
 */
import type { Scope } from "effect"
import { Context, Effect, Option, Redacted, Result } from "effect"
import { readTokenFile } from "../SecretFile.ts"
import { AuditLog } from "../callers/AuditLog.ts"
import type { ConfigProblem } from "../config/ConfigProblem.ts"
import { InvalidConfig } from "../config/ConfigProblem.ts"
import type { FlareDbConfig } from "../config/FlareDbConfig.ts"
import type { CertificatePaths } from "../config/Security.ts"
import { clientCertificatePaths, peerCertificatePaths } from "../config/Security.ts"
import { unreadText } from "../ErrorText.ts"
import type { CertificateDemand, DialTls, PortTls } from "../net/tls/Credentials.ts"
import type { FileCredentials } from "../net/tls/FileCredentials.ts"
import { fromFiles } from "../net/tls/FileCredentials.ts"
import type { PeerTls } from "../transport/rpc/RpcTransport.ts"
import type { CallersConfig } from "./AdmittedCallers.ts"

export interface NodeSecurity {
  readonly peers: PeerTls
  /** How the ports for clients and HTTP are served; absent in mode `off`. */
  readonly port: PortTls | undefined
  /** How the client of this process dials other nodes; absent in the modes `off` and `accept`. */
  readonly dial: DialTls | undefined
  readonly callers: CallersConfig
}

/**
 * Whether `SIGHUP` has certificates read again at once. Not by default: a program that has a node in it may mean
 * something else by that signal.
 */
export const ReloadOnHangup = Context.Reference<boolean>("flaredb/server/ReloadOnHangup", {
  defaultValue: () => false
})

/** Shortest token of a bootstrap file: 32 digits of hex are 128 bits. */
const minTokenCharacters = 32

const credentials = Effect.fnUntraced(function*(config: FlareDbConfig, paths: CertificatePaths, use: string) {
  return yield* fromFiles({
    ...paths,
    owner: { kind: "node", cluster: config.clusterId, node: config.nodeId },
    use,
    reloadOnHangup: yield* ReloadOnHangup
  })
})

interface OpenedCredentials {
  readonly peer: FileCredentials
  readonly client: FileCredentials
}

const problemOf = (field: string, error: { readonly message: string }): ConfigProblem => ({
  field,
  problem: error.message
})

/** Both sets of credentials, or what is wrong with either. */
const openCredentials = Effect.fnUntraced(function*(
  config: FlareDbConfig
): Effect.fn.Return<OpenedCredentials | undefined, InvalidConfig, Scope.Scope> {
  const [clientPaths, peerPaths] = [clientCertificatePaths(config), peerCertificatePaths(config)]
  if (config.tls === "off" || clientPaths === undefined || peerPaths === undefined) return undefined
  const client = yield* Effect.result(credentials(config, clientPaths, "client"))
  const peer = yield* Effect.result(credentials(config, peerPaths, "peer"))
  if (Result.isSuccess(client) && Result.isSuccess(peer)) return { client: client.success, peer: peer.success }
  const problems = [
    ...Result.isFailure(client) ? [problemOf("certFile", client.failure)] : [],
    ...Result.isFailure(peer) ? [problemOf("peerCertFile", peer.failure)] : []
  ]
  // The same files are wrong for both in the same way.
  const [first, second] = problems
  return yield* new InvalidConfig({
    problems: first !== undefined && first.problem === second?.problem ? [first] : problems
  })
})

const readToken = async (file: string): Promise<string> => {
  const text = await readTokenFile(file)
  if (text.length < minTokenCharacters || /\s/.test(text)) {
    throw new Error(
      `it needs one line of at least ${minTokenCharacters} characters, as openssl rand -hex 32 prints it`
    )
  }
  return text
}

const bootstrapToken = (file: string | undefined): Effect.Effect<Redacted.Redacted | undefined, InvalidConfig> =>
  file === undefined ? Effect.succeed(undefined) : Effect.tryPromise({
    try: async () => Redacted.make(await readToken(file), { label: "bootstrap token" }),
    catch: (error) =>
      new InvalidConfig({ problems: [{ field: "bootstrapTokenFile", problem: `${file}: ${unreadText(error)}` }] })
  })

const auditLog = (config: FlareDbConfig): Effect.Effect<AuditLog | undefined, InvalidConfig, Scope.Scope> =>
  config.auditLog === undefined ? Effect.succeed(undefined) : AuditLog.make({
    nodeId: config.nodeId,
    file: config.auditLog,
    events: config.auditEvents,
    strict: config.auditStrict
  }).pipe(Effect.mapError((error) => new InvalidConfig({ problems: [problemOf("auditLog", error)] })))

/** Whether the ports of callers ask for a certificate. A node may show its own wherever callers are asked anything. */
const demandOf = ({ clientAuth }: FlareDbConfig): CertificateDemand =>
  clientAuth === "none" ? "none" : clientAuth === "certificate" ? "required" : "optional"

/** What is wrong with the files that a start would read. They are read and let go; an audit log is not begun. */
export const checkFiles = (config: FlareDbConfig): Effect.Effect<void, InvalidConfig> =>
  Effect.scoped(Effect.gen(function*() {
    const certificates = yield* Effect.flip(Effect.asVoid(openCredentials(config))).pipe(Effect.option)
    const token = yield* Effect.flip(Effect.asVoid(bootstrapToken(config.bootstrapTokenFile))).pipe(Effect.option)
    const problems = [certificates, token].flatMap(Option.toArray).flatMap((error) => error.problems)
    if (problems.length > 0) return yield* new InvalidConfig({ problems })
  }))

/** Reads what the configuration names. Fails with what is wrong with it, and what to do. */
export const open = Effect.fnUntraced(function*(
  config: FlareDbConfig
): Effect.fn.Return<NodeSecurity, InvalidConfig, Scope.Scope> {
  const { clientAuth, clusterId: cluster, tls } = config
  const opened = yield* openCredentials(config)
  const callers: CallersConfig = {
    clientAuth,
    bootstrapToken: yield* bootstrapToken(config.bootstrapTokenFile),
    audit: yield* auditLog(config)
  }
  if (opened === undefined || tls === "off") {
    return { callers, peers: {}, port: undefined, dial: undefined }
  }
  const { client, peer } = opened
  const dials = tls === "dial" || tls === "on"
  return {
    callers,
    peers: {
      port: { mode: tls, credentials: peer, cluster, demand: "required" },
      ...(dials ? { dial: { credentials: peer } } : {})
    },
    port: { mode: tls, credentials: client, cluster, demand: demandOf(config) },
    dial: dials ? { credentials: client, cluster } : undefined
  }
})
