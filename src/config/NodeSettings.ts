/**
 * Every setting of a node: the one table behind the types, defaults, flags, variables, `--help`, validation and
 * `docs/configuration.md`. The names of flag and variable follow from the setting's own (`Setting.ts`).
 */
import { limitSettings } from "./Limits.ts"
import { localNodes } from "./NodeAddress.ts"
import { otlpIntegerSettings } from "./Otlp.ts"
import type { PathName } from "./Security.ts"
import { auditEvents, clientAuths, tlsModes } from "./Security.ts"
import type { IntegerSetting } from "./Setting.ts"

/** A setting that is text. */
export interface TextSetting {
  /** How its value is written. */
  readonly form: string
  /** One sentence without a full stop. */
  readonly text: string
  /** What holds without it, in words. */
  readonly otherDefault: string
}

export const textSettings = {
  clusterId: {
    form: "NAME",
    text: "names the cluster, so that nodes of two clusters never mix: 1 to 64 letters, digits, dots, dashes or " +
      "underscores",
    otherDefault: "local"
  },
  nodes: {
    form: "ID=HOST:CLIENT:PEER:HTTP,…",
    text: "all nodes of the cluster, one or three, the same at every node",
    otherDefault: "the three local ones"
  },
  dataDir: {
    form: "DIR",
    text: "the node's own data directory, created when missing",
    otherDefault: "./data/node-ID"
  },
  listenHost: {
    form: "HOST",
    text: "address to bind; containers bind 0.0.0.0 and are known by a name",
    otherDefault: "the node's own host"
  },
  httpHosts: {
    form: "NAME,…",
    text:
      "names under which the HTTP port answers, beside localhost, addresses and the hosts of the nodes; under any " +
      "other name only /livez and /readyz do; at most 64",
    otherDefault: "none"
  }
} satisfies Record<string, TextSetting>

const file = (text: string, otherDefault: string): TextSetting => ({ form: "FILE", text, otherDefault })

/** The settings that name a file or a folder of certificates, callers and audit. */
export const pathSettings = {
  certsDir: {
    form: "DIR",
    text: "folder with the node's certificates: ca.crt, node.crt and node.key, as flaredb cert writes them",
    otherDefault: "none"
  },
  trustedCaFile: file(
    "the authorities whose certificates are accepted, PEM; one, or two while they rotate",
    "ca.crt in certsDir"
  ),
  certFile: file("the node's certificate, PEM, with those between it and the authority", "node.crt in certsDir"),
  keyFile: file("the key of that certificate, PEM; refused when others may read it", "node.key in certsDir"),
  peerTrustedCaFile: file("the authorities that are accepted on the port of the other nodes", "as trustedCaFile"),
  peerCertFile: file("the certificate that other nodes see", "as certFile"),
  peerKeyFile: file("its key", "as keyFile"),
  bootstrapTokenFile: file(
    "holds a token that is the administrator's while the cluster has no users; of no effect afterwards",
    "none"
  ),
  auditLog: file("where each operation is written down as a line of JSON, with who did it and never a value", "none")
} satisfies Record<PathName, TextSetting>

/** The settings of the export to a collector that are text. */
export const otlpTextSettings = {
  otlpEndpoint: {
    form: "URL",
    text: "collector that gets metrics and spans as OTLP over HTTP, such as http://127.0.0.1:4318; /v1/metrics and " +
      "/v1/traces follow",
    otherDefault: "none, and nothing is sent"
  },
  otlpHeadersFile: file(
    "headers for it, such as a token, each as a line NAME: VALUE; refused when others may read it, or over http to " +
      "another machine",
    "none"
  )
} satisfies Record<string, TextSetting>

export type OtlpTextName = keyof typeof otlpTextSettings

/** Every setting that is text. */
export const writtenSettings = { ...textSettings, ...pathSettings, ...otlpTextSettings }

export type TextName = keyof typeof textSettings | OtlpTextName

/** A setting that is one of a few words. */
export interface ChoiceSetting {
  readonly choices: ReadonlyArray<string>
  /** One sentence without a full stop. */
  readonly text: string
  /** What holds without it, in words. */
  readonly otherDefault: string
}

export const choiceSettings = {
  tls: {
    choices: tlsModes,
    text:
      "encryption of all ports: off; accept takes TLS beside plain connections; dial makes TLS connections too; on " +
      "takes and makes nothing else. A running cluster goes through them in this order",
    otherDefault: "on where certificates are given, else off"
  },
  clientAuth: {
    choices: clientAuths,
    text: "how callers of the client and HTTP ports say who they are; with none anybody who reaches them may do " +
      "everything",
    otherDefault: "either with TLS, else none"
  },
  auditEvents: {
    choices: auditEvents,
    text: "what the audit log has: writes and what operators do, or reads as well",
    otherDefault: "writes"
  }
} satisfies Record<string, ChoiceSetting>

export type ChoiceName = keyof typeof choiceSettings

/** A setting that is given or not. */
export interface SwitchSetting {
  /** One sentence without a full stop. */
  readonly text: string
}

export const switchSettings = {
  insecure: {
    text: "listens beyond this machine without certificates: everybody who reaches the ports may read and change " +
      "everything"
  },
  auditStrict: {
    text: "refuses what the audit log cannot take, rather than doing it unseen"
  },
  unsafeNoFsync: {
    text: "benchmarks only: skips every sync, and a power loss then loses acknowledged writes"
  }
} satisfies Record<string, SwitchSetting>

export type SwitchName = keyof typeof switchSettings

/** The settings of time: those of Raft's heartbeats and elections. */
export const timingSettings = {
  heartbeatMs: {
    unit: "milliseconds",
    default: 100,
    minimum: 5,
    text: "milliseconds between a leader's heartbeats; fewer repeat sooner what was lost, and cost messages and " +
      "processor time"
  },
  electionTimeoutMinMs: {
    unit: "milliseconds",
    default: 500,
    minimum: 1,
    text:
      "shortest time without a leader before an election in milliseconds, at least three heartbeats; below half a " +
      "second a garbage collection or a slow sync deposes healthy leaders, higher means longer outages after a real " +
      "loss"
  },
  electionTimeoutMaxMs: {
    unit: "milliseconds",
    default: 1_000,
    minimum: 1,
    text: "longest such time; the spread, at least two heartbeats, keeps nodes from campaigning together"
  }
} satisfies Record<string, IntegerSetting>

export type TimingName = keyof typeof timingSettings

export const timingNames = Object.keys(timingSettings) as ReadonlyArray<TimingName>

/** Every setting that is a whole number and has a default. */
export const integerSettings = { ...timingSettings, ...otlpIntegerSettings, ...limitSettings }

export type IntegerName = keyof typeof integerSettings

export const nodeIdText = "which of the nodes this is; required"

/** Everything that has a default. `nodeId` has none: a wrong guess would be another node. */
export const defaults = {
  clusterId: textSettings.clusterId.otherDefault,
  nodes: localNodes,
  httpHosts: [] as ReadonlyArray<string>,
  heartbeatMs: timingSettings.heartbeatMs.default,
  electionTimeoutMinMs: timingSettings.electionTimeoutMinMs.default,
  electionTimeoutMaxMs: timingSettings.electionTimeoutMaxMs.default,
  otlpIntervalMs: otlpIntegerSettings.otlpIntervalMs.default,
  unsafeNoFsync: false
} as const

/** The default data directory of a node. */
export const defaultDataDir = (nodeId: number): string => `./data/node-${nodeId}`
