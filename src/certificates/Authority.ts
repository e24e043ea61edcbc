/**
 * The authority of one cluster and what it issues: certificates for nodes and for clients, with their keys.
 *
 * Keys are on the curve P-256, signatures are ECDSA with SHA-256. A certificate names its holder with one URI
 * (`net/tls/CertificateName.ts`); a node's also has the hosts by which it is dialled. Nothing here touches files.
 */
import { Data, Redacted, Result } from "effect"
import type { KeyObject } from "node:crypto"
import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from "node:crypto"
import type { CertificateName } from "../net/tls/CertificateName.ts"
import { formatCertificateName, parseCertificateName } from "../net/tls/CertificateName.ts"
import { subjectOf } from "./DerReader.ts"
import { hostName, maxHosts } from "./Hosts.ts"
import type { AltName } from "./Signing.ts"
import * as Signing from "./Signing.ts"

/** A certificate cannot be issued as it was asked for, or not by this authority. Nothing was made. */
export class CertificateProblem extends Data.TaggedError("CertificateProblem")<{
  /** What is wrong: "cluster", "days", "host", "name", "authority" … */
  readonly field: string
  /** Why, and what to do. */
  readonly problem: string
}> {
  override get message() {
    return `${this.field}: ${this.problem}`
  }
}

/** A certificate and its private key, both as PEM. */
export interface Issued {
  readonly certificate: string
  readonly key: Redacted.Redacted<string>
  /** When it stops being valid: earlier than asked for when the authority's own certificate ends before. */
  readonly validToMs: number
}

/** An authority that can issue: its certificate and its key. */
export interface Authority extends Issued {
  /** The cluster that it is for; absent when another program made it. */
  readonly cluster?: string
}

/** Days for which an authority is valid unless said otherwise. */
export const authorityDays = 3_650

/** Days for which a node's or client's certificate is valid unless said otherwise. */
export const leafDays = 365

/** Most days for which a certificate may be valid. */
export const maxDays = 36_500

const dayMs = 86_400_000

/** How far validity begins in the past: clocks of other machines may be behind. */
const clockToleranceMs = 5 * 60_000

const refuse = (field: string, problem: string) => Result.fail(new CertificateProblem({ field, problem }))

const daysProblem = (days: number): string | undefined =>
  Number.isInteger(days) && days >= 1 && days <= maxDays
    ? undefined
    : `${days} is not a whole number from 1 to ${maxDays}`

const isClusterName = (text: string): boolean =>
  parseCertificateName(formatCertificateName({ kind: "node", cluster: text, node: 1 })) !== undefined

const nameRule = "1 to 64 letters, digits, dots, dashes or underscores"

const newKeys = () => generateKeyPairSync("ec", { namedCurve: "P-256" })

const keyPem = (key: KeyObject): Redacted.Redacted<string> =>
  Redacted.make(key.export({ type: "pkcs8", format: "pem" }).toString(), { label: "private key" })

/** Whole seconds: certificates know no shorter times. */
const inSeconds = (ms: number): number => Math.floor(ms / 1_000) * 1_000

/** Makes an authority, which signs itself. `nowMs` is the wall clock's. */
export const makeAuthority = (options: {
  readonly cluster: string
  readonly days?: number
  readonly nowMs: number
}): Result.Result<Authority, CertificateProblem> => {
  const { cluster, days = authorityDays, nowMs } = options
  if (!isClusterName(cluster)) {
    return refuse("cluster", `${JSON.stringify(cluster.slice(0, 80))} is no name of a cluster: it needs ${nameRule}`)
  }
  const problem = daysProblem(days)
  if (problem !== undefined) return refuse("days", problem)
  const { privateKey, publicKey } = newKeys()
  const keyId = Signing.keyIdOf(publicKey)
  // The old and the new authority of a cluster must not have the same name while both are accepted.
  const subject = Signing.subject(cluster, `FlareDB authority ${Buffer.from(keyId).toString("hex").slice(0, 8)}`)
  const validToMs = inSeconds(nowMs + days * dayMs)
  const certificate = Signing.signCertificate({
    issuer: subject,
    subject,
    publicKey,
    validFromMs: inSeconds(nowMs - clockToleranceMs),
    validToMs,
    extensions: [
      Signing.basicConstraints(true),
      Signing.keyUsage(true),
      Signing.subjectKeyId(keyId)
    ]
  }, privateKey)
  return Result.succeed({ cluster, certificate, key: keyPem(privateKey), validToMs })
}

/** The cluster in the subject of an authority that {@link makeAuthority} made. */
const clusterIn = (certificate: X509Certificate): string | undefined => {
  if (!/^CN=FlareDB authority [0-9a-f]{8}$/m.test(certificate.subject)) return undefined
  const cluster = /^O=(.*)$/m.exec(certificate.subject)?.[1]
  return cluster !== undefined && isClusterName(cluster) ? cluster : undefined
}

/** OpenSSL's own words are not passed on: they say nothing more to the reader, and could quote what was read. */
const parseKey = (pem: Redacted.Redacted<string>): Result.Result<KeyObject, CertificateProblem> =>
  Result.try({
    try: () => createPrivateKey(Redacted.value(pem)),
    catch: () =>
      new CertificateProblem({ field: "key", problem: "it is not PEM of a private key without a passphrase" })
  })

/** The place of the first certificate that a private key belongs to; -1 when it belongs to none of them. */
export const pairedWith = (
  certificates: ReadonlyArray<X509Certificate>,
  key: Redacted.Redacted<string>
): Result.Result<number, CertificateProblem> =>
  Result.map(parseKey(key), (opened) => certificates.findIndex((certificate) => certificate.checkPrivateKey(opened)))

/** An authority from its certificate and key, as they stand in files. Its key must be on an elliptic curve. */
export const openAuthority = (files: {
  readonly certificate: string
  readonly key: Redacted.Redacted<string>
}): Result.Result<Authority, CertificateProblem> => {
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(files.certificate)
  } catch {
    return refuse("authority", "its certificate is not PEM of a certificate")
  }
  const parsed = parseKey(files.key)
  if (Result.isFailure(parsed)) return Result.fail(parsed.failure)
  const key = parsed.success
  if (!certificate.ca) {
    return refuse("authority", "its certificate may not sign others (basicConstraints without CA:TRUE)")
  }
  if (key.asymmetricKeyType !== "ec") {
    return refuse(
      "authority",
      `its key is of type ${key.asymmetricKeyType}; only keys on elliptic curves are used here`
    )
  }
  if (!certificate.checkPrivateKey(key)) return refuse("authority", "its certificate and its key are not a pair")
  const cluster = clusterIn(certificate)
  return Result.succeed({ ...files, ...(cluster === undefined ? {} : { cluster }), validToMs: validToMs(certificate) })
}

/** When a certificate stops being valid, in milliseconds since 1970. */
export const validToMs = (certificate: X509Certificate): number => Date.parse(certificate.validTo)

/** What a certificate is asked for. */
export interface Request {
  readonly name: CertificateName
  /** Host names and IP addresses by which the holder is dialled; a client needs none. */
  readonly hosts: ReadonlyArray<string>
  readonly days?: number
  readonly nowMs: number
}

const altNames = (hosts: ReadonlyArray<string>): Result.Result<ReadonlyArray<AltName>, CertificateProblem> => {
  if (hosts.length > maxHosts) return refuse("host", `${hosts.length} hosts; a certificate has at most ${maxHosts}`)
  const names: Array<AltName> = []
  for (const host of hosts) {
    const name = hostName(host)
    if (typeof name === "string") return refuse("host", name)
    names.push(name)
  }
  return Result.succeed(names)
}

const requestProblem = (authority: Authority, { days = leafDays, hosts, name, nowMs }: Request) => {
  const asUri = formatCertificateName(name)
  if (parseCertificateName(asUri) === undefined) {
    return refuse(
      "name",
      name.kind === "node"
        ? `node ${name.node} of cluster ${
          JSON.stringify(name.cluster.slice(0, 80))
        }: an id is a whole number from 1 to ` +
          `999999999, and a cluster's name has ${nameRule}`
        : `client ${JSON.stringify(name.client.slice(0, 80))} of cluster ${
          JSON.stringify(name.cluster.slice(0, 80))
        }: ` +
          `names have ${nameRule}`
    )
  }
  if (authority.cluster !== undefined && authority.cluster !== name.cluster) {
    return refuse("cluster", `the authority is for cluster ${authority.cluster}, not ${name.cluster}`)
  }
  if (name.kind === "node" && hosts.length === 0) {
    return refuse("host", `node ${name.node} needs the host names or addresses by which it is dialled`)
  }
  const problem = daysProblem(days)
  if (problem !== undefined) return refuse("days", problem)
  return authority.validToMs <= nowMs
    ? refuse("authority", `it expired on ${new Date(authority.validToMs).toISOString().slice(0, 10)}; make another one`)
    : undefined
}

/** Issues a certificate with a key of its own. Its validity ends with the authority's at the latest. */
export const issue = (authority: Authority, request: Request): Result.Result<Issued, CertificateProblem> => {
  const problem = requestProblem(authority, request)
  if (problem !== undefined) return problem
  const hosts = altNames(request.hosts)
  if (Result.isFailure(hosts)) return Result.fail(hosts.failure)
  const issuer = subjectOf(new X509Certificate(authority.certificate).raw)
  if (issuer === undefined) return refuse("authority", "its certificate cannot be read")
  const { days = leafDays, name, nowMs } = request
  const signingKey = createPrivateKey(Redacted.value(authority.key))
  const { privateKey, publicKey } = newKeys()
  const ends = inSeconds(Math.min(nowMs + days * dayMs, authority.validToMs))
  const certificate = Signing.signCertificate({
    issuer: issuer.subject,
    subject: Signing.subject(name.cluster, name.kind === "node" ? `node ${name.node}` : name.client),
    publicKey,
    validFromMs: inSeconds(nowMs - clockToleranceMs),
    validToMs: ends,
    extensions: [
      Signing.basicConstraints(false),
      Signing.keyUsage(false),
      name.kind === "node"
        ? Signing.extendedKeyUsage("serverAuth", "clientAuth")
        : Signing.extendedKeyUsage("clientAuth"),
      Signing.subjectKeyId(Signing.keyIdOf(publicKey)),
      Signing.authorityKeyId(issuer.keyId ?? Signing.keyIdOf(createPublicKey(signingKey))),
      Signing.subjectAltName([{ uri: formatCertificateName(name) }, ...hosts.success])
    ]
  }, signingKey)
  return Result.succeed({ certificate, key: keyPem(privateKey), validToMs: ends })
}
