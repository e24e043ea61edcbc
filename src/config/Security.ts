/**
 * The settings of certificates and callers: which files a node uses, and what is wrong with how they were given. What
 * the files hold is checked where they are read (`net/tls`).
 */
import type { ConfigProblem } from "./ConfigProblem.ts"
import { flagOf } from "./Setting.ts"

/**
 * How far a cluster is with TLS. A running one goes from `off` to `on` with one rolling restart for each step:
 *
 * | mode     | takes connections | makes connections |
 * | -------- | ----------------- | ----------------- |
 * | `off`    | plain             | plain             |
 * | `accept` | plain and TLS     | plain             |
 * | `dial`   | plain and TLS     | TLS               |
 * | `on`     | TLS               | TLS               |
 */
export const tlsModes = ["off", "accept", "dial", "on"] as const
export type TlsMode = (typeof tlsModes)[number]

/** How callers of the client and HTTP ports say who they are. */
export const clientAuths = ["none", "certificate", "token", "either"] as const
export type ClientAuth = (typeof clientAuths)[number]

export const auditEvents = ["writes", "all"] as const
export type AuditEventsSetting = (typeof auditEvents)[number]

const clientFiles = ["trustedCaFile", "certFile", "keyFile"] as const
const peerFiles = ["peerTrustedCaFile", "peerCertFile", "peerKeyFile"] as const

/** The settings that name a file or a folder. */
export const pathNames = ["certsDir", ...clientFiles, ...peerFiles, "bootstrapTokenFile", "auditLog"] as const
export type PathName = (typeof pathNames)[number]

/** Their meaning stands in the table of settings. */
export interface SecurityConfig extends Readonly<Partial<Record<PathName, string | undefined>>> {
  readonly tls: TlsMode
  readonly clientAuth: ClientAuth
  readonly insecure: boolean
  readonly auditEvents: AuditEventsSetting
  readonly auditStrict: boolean
}

/** PEM files of one kind of port. */
export interface CertificatePaths {
  /** The authorities that are accepted. */
  readonly authorities: string
  readonly certificate: string
  readonly key: string
}

type Paths = Readonly<Partial<Record<PathName, string | undefined>>>

const inFolder = (folder: string | undefined, file: string): string | undefined =>
  folder === undefined ? undefined : `${folder.replace(/\/+$/, "")}/${file}`

const complete = (
  authorities: string | undefined,
  certificate: string | undefined,
  key: string | undefined
): CertificatePaths | undefined =>
  authorities === undefined || certificate === undefined || key === undefined
    ? undefined
    : { authorities, certificate, key }

/** The files of the ports for clients and HTTP; `undefined` when they were not given. */
export const clientCertificatePaths = ({ certFile, certsDir, keyFile, trustedCaFile }: Paths) =>
  complete(
    trustedCaFile ?? inFolder(certsDir, "ca.crt"),
    certFile ?? inFolder(certsDir, "node.crt"),
    keyFile ?? inFolder(certsDir, "node.key")
  )

/** The files of the port for peers, which are the same as for clients unless others were given. */
export const peerCertificatePaths = (paths: Paths): CertificatePaths | undefined => {
  const { peerCertFile, peerKeyFile, peerTrustedCaFile } = paths
  return clientCertificatePaths({
    certsDir: paths.certsDir,
    trustedCaFile: peerTrustedCaFile ?? paths.trustedCaFile,
    certFile: peerCertFile ?? paths.certFile,
    keyFile: peerKeyFile ?? paths.keyFile
  })
}

const given = (paths: Paths): boolean =>
  [paths.certsDir, ...clientFiles.map((name) => paths[name])].some((path) => path !== undefined)

/** What holds where a setting was left out: TLS is on as soon as certificates are named, and then callers use it. */
export const securityDefaults = (options: Partial<SecurityConfig>): SecurityConfig => {
  const tls = options.tls ?? (given(options) ? "on" : "off")
  return {
    ...options,
    tls,
    clientAuth: options.clientAuth ?? (tls === "off" ? "none" : "either"),
    insecure: options.insecure ?? false,
    auditEvents: options.auditEvents ?? "writes",
    auditStrict: options.auditStrict ?? false
  }
}

const flag = (name: string): string => `--${flagOf(name)}`

const oneOf = (field: string, value: string, choices: ReadonlyArray<string>): ReadonlyArray<ConfigProblem> =>
  choices.includes(value)
    ? []
    : [{ field, problem: `${JSON.stringify(value)} is none of ${choices.join(", ")}` }]

/** A certificate from one place and a key from another seldom belong together. */
const pairProblems = (
  config: SecurityConfig,
  certificate: "certFile" | "peerCertFile",
  key: "keyFile" | "peerKeyFile"
) =>
  (config[certificate] === undefined) === (config[key] === undefined) ? [] : [
    config[certificate] === undefined
      ? { field: certificate, problem: `is missing: ${flag(key)} is given, and the certificate belongs to that key` }
      : { field: key, problem: `is missing: ${flag(certificate)} is given, and its key belongs to it` }
  ]

const certificateProblems = (config: SecurityConfig): ReadonlyArray<ConfigProblem> =>
  config.tls === "off" || !tlsModes.includes(config.tls) || clientCertificatePaths(config) !== undefined ? [] : [{
    field: "tls",
    problem: `${config.tls} needs certificates: give ${flag("certsDir")}, or ${clientFiles.map(flag).join(", ")}; ` +
      "flaredb cert makes them"
  }]

const callerProblems = (config: SecurityConfig): ReadonlyArray<ConfigProblem> => {
  const problems: Array<ConfigProblem> = []
  const { clientAuth, tls } = config
  if (clientAuth === "certificate" && tls === "off") {
    problems.push({ field: "clientAuth", problem: "certificate needs TLS: give certificates, or have tokens" })
  }
  if (config.bootstrapTokenFile !== undefined && clientAuth !== "token" && clientAuth !== "either") {
    problems.push({
      field: "bootstrapTokenFile",
      problem: `is of no use while clientAuth is ${clientAuth}: tokens are taken with token or either`
    })
  }
  if (config.auditStrict && config.auditLog === undefined) {
    problems.push({
      field: "auditStrict",
      problem: `needs ${flag("auditLog")}, or there is nothing to be strict about`
    })
  }
  return problems
}

/** Everything wrong with these settings; empty when they can be used. */
export const securityProblems = (config: SecurityConfig): ReadonlyArray<ConfigProblem> => [
  ...oneOf("tls", config.tls, tlsModes),
  ...oneOf("clientAuth", config.clientAuth, clientAuths),
  ...oneOf("auditEvents", config.auditEvents, auditEvents),
  ...pathNames.filter((name) => config[name] === "").map((field) => ({ field, problem: "must not be empty" })),
  ...pairProblems(config, "certFile", "keyFile"),
  ...pairProblems(config, "peerCertFile", "peerKeyFile"),
  ...certificateProblems(config),
  ...callerProblems(config)
]
