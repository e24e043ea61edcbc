/**
 * Whether a node would listen where others reach it without certificates. That is refused unless it is asked for by
 * name: a port that is open by mistake gives everything to those who find it.
 */
import { Effect, Metric } from "effect"
import { InvalidConfig } from "../config/ConfigProblem.ts"
import type { FlareDbConfig } from "../config/FlareDbConfig.ts"
import { ownAddress } from "../config/FlareDbConfig.ts"
import { hostNames } from "./HostNames.ts"
import { isLoopbackHost } from "./Loopback.ts"

/** The addresses of a host that others may reach. A name that cannot be looked up has none: who listens reports it. */
const addressesBeyond = (host: string): Effect.Effect<ReadonlyArray<string>> =>
  hostNames.toListen(host).pipe(
    Effect.map((addresses) => addresses.filter((address) => !isLoopbackHost(address))),
    Effect.orElseSucceed(() => [])
  )

/** 1 while the ports are open to others without TLS. */
const insecure = Metric.gauge("flaredb_insecure", {
  description: "1 when the node listens beyond its machine without TLS."
})

const refused = (host: string, addresses: ReadonlyArray<string>): InvalidConfig =>
  new InvalidConfig({
    problems: [{
      field: "tls",
      problem:
        `${host} is reached from other machines${
          addresses.length === 1 && addresses[0] === host ? "" : ` (${addresses.join(", ")})`
        }, and this node has no certificates: ` +
        "everybody who reaches it could read and change everything. Make certificates with flaredb cert and give " +
        "--certs-dir (docs/security.md), or listen on 127.0.0.1, or say --insecure"
    }]
  })

const tokensRefused = new InvalidConfig({
  problems: [{
    field: "clientAuth",
    problem: "tokens are not taken over plain connections from other machines, where others can read them. Give " +
      "certificates, or listen on 127.0.0.1"
  }]
})

/** What the log says once of an open port that was asked for. */
const warningOf = ({ clientAuth, tls }: FlareDbConfig, host: string): string | undefined => {
  if (tls === "off") {
    return `insecure: ${host} is reached from other machines without TLS; everybody who reaches the ports may read ` +
      "and change everything (docs/security.md)"
  }
  if (tls !== "on") {
    return `tls is ${tls}: plain connections are taken as well, and are not asked who they are; go on to --tls on`
  }
  return clientAuth === "none"
    ? "client-auth is none: connections are encrypted, and callers are not asked who they are"
    : undefined
}

interface Openness {
  readonly host: string
  /** The addresses that others reach. */
  readonly beyond: ReadonlyArray<string>
  readonly open: boolean
}

const opennessOf = (config: FlareDbConfig): Effect.Effect<Openness, InvalidConfig> =>
  Effect.gen(function*() {
    const host = config.listenHost ?? ownAddress(config).host
    const beyond = yield* addressesBeyond(host)
    const open = beyond.length > 0 && config.tls === "off"
    if (open && !config.insecure) return yield* refused(host, beyond)
    if (open && config.clientAuth !== "none") return yield* tokensRefused
    return { host, beyond, open }
  })

/** Fails where the ports would be open to other machines without certificates and without `insecure`. */
export const refuse = (config: FlareDbConfig): Effect.Effect<void, InvalidConfig> => Effect.asVoid(opennessOf(config))

/**
 * {@link refuse} for a node that starts: warns where the ports are open and that was asked for, and says so in a
 * metric. Nothing is listened on and nothing on disk is touched before.
 */
export const check = (config: FlareDbConfig): Effect.Effect<void, InvalidConfig> =>
  Effect.gen(function*() {
    const { beyond, host, open } = yield* opennessOf(config)
    yield* Metric.update(insecure, open ? 1 : 0)
    const warning = beyond.length === 0 ? undefined : warningOf(config, host)
    if (warning !== undefined) yield* Effect.logWarning(warning)
  })
