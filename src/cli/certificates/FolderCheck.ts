/**
 * Everything in a folder of certificates for which a node would refuse to start, or others would refuse the node. A
 * start ends at the first problem; here they are all told, as far as one does not hide another.
 */
import { Effect, References, Result } from "effect"
import type { X509Certificate } from "node:crypto"
import { isIP } from "node:net"
import { missingUses } from "../../certificates/Certificates.ts"
import type { NodeAddress } from "../../config/NodeAddress.ts"
import { describeName } from "../../net/tls/CertificateCheck.ts"
import type { CertificateName } from "../../net/tls/CertificateName.ts"
import { fromFiles } from "../../net/tls/FileCredentials.ts"
import type { CredentialsError, ExpectedOwner } from "../../net/tls/MaterialCheck.ts"
import { checkMaterial } from "../../net/tls/MaterialCheck.ts"
import type { Failure } from "../output/Failure.ts"
import type { HolderFiles } from "./CertificateFolder.ts"
import * as Folder from "./CertificateFolder.ts"
import type { Held } from "./Holders.ts"
import { readHeld } from "./Holders.ts"
import { isoTime } from "./Text.ts"

/** What is wrong, with which file, and what to do about it. */
export interface Finding {
  readonly file: string
  readonly problem: string
  readonly advice: string
}

/** What the certificates are held against. */
export interface CheckOptions {
  readonly nodes: ReadonlyArray<NodeAddress> | undefined
  readonly node: number | undefined
  readonly cluster: string | undefined
  /** A certificate that ends within these milliseconds is a problem, too. */
  readonly expiresWithinMs: number
  readonly nowMs: number
}

export interface Checked {
  /** Authorities of a folder that issues. */
  readonly authorities: ReadonlyArray<X509Certificate>
  /** Those that were read, with problems or without. */
  readonly held: ReadonlyArray<Held>
  readonly problems: ReadonlyArray<Finding>
}

const nothing: Checked = { authorities: [], held: [], problems: [] }

const finding = (file: string, problem: string, advice: string): Finding => ({ file, problem, advice })

const ofError = ({ advice, file, problem }: CredentialsError): Finding => ({ file, problem, advice })

/** A failure says the file first; it is a finding all the same. */
const ofFailure = (file: string) => ({ line }: Failure): Finding =>
  finding(file, line.startsWith(`${file}: `) ? line.slice(file.length + 2) : line, "name files that flaredb cert made")

/** What a start says of them: the files, their modes, the pair, the authority, the times and the owner. */
const startProblem = (files: HolderFiles, owner: ExpectedOwner): Effect.Effect<Finding | undefined> =>
  Effect.scoped(fromFiles({ ...files, owner, use: "check" })).pipe(
    Effect.match({ onSuccess: () => undefined, onFailure: ofError }),
    // It would tell of certificates that end soon, as a node does.
    Effect.provideService(References.MinimumLogLevel, "None")
  )

/** The same without the modes, which hide what is inside. */
const contentProblem = Effect.fnUntraced(function*(files: HolderFiles, owner: ExpectedOwner, nowMs: number) {
  const authorities = yield* Folder.readText(files.authorities)
  const certificate = yield* Folder.readText(files.certificate)
  const key = yield* Folder.readText(files.key)
  const checked = checkMaterial(files, { authorities, own: { certificate, key } }, owner, nowMs)
  return Result.isFailure(checked) ? ofError(checked.failure) : undefined
})

const isValidFor = (certificate: X509Certificate, host: string): boolean =>
  isIP(host) === 0
    ? certificate.checkHost(host, { subject: "never" }) !== undefined
    : certificate.checkIP(host) !== undefined

/** Whether the others find the node under the host by which they dial it. */
const hostProblem = (
  { certificate, files, hosts, name }: Held,
  nodes: ReadonlyArray<NodeAddress>
): Finding | undefined => {
  if (name.kind !== "node") return undefined
  const node = nodes.find(({ id }) => id === name.node)
  if (node === undefined) {
    return finding(
      files.certificate,
      `node ${name.node} is not among the nodes ${nodes.map(({ id }) => id).join(", ")}`,
      "correct --nodes, or issue the certificate for the node that this is"
    )
  }
  return isValidFor(certificate, node.host) ? undefined : finding(
    files.certificate,
    `it is not valid for ${node.host}, by which the others dial node ${name.node}, but for ${
      hosts.join(", ") || "no host"
    }`,
    `issue it again with flaredb cert node ${name.node} --host ${[node.host, ...hosts].join(",")} --overwrite`
  )
}

const useProblem = ({ certificate, files, name }: Held): Finding | undefined => {
  const missing = missingUses(certificate, name.kind)
  return missing.length === 0 ? undefined : finding(
    files.certificate,
    `its extended key usage lacks ${missing.join(" and ")}: the other side refuses it`,
    `issue it again with flaredb cert ${describeName(name)}, or with that usage`
  )
}

const expiryProblem = ({ files, name, validToMs }: Held, { expiresWithinMs, nowMs }: CheckOptions) =>
  validToMs <= nowMs || validToMs - nowMs > expiresWithinMs ? undefined : finding(
    files.certificate,
    `the certificate of ${describeName(name)} ends on ${isoTime(validToMs)}`,
    `renew it with flaredb cert ${describeName(name)} --overwrite`
  )

const make = (kind: CertificateName["kind"]): string =>
  kind === "node"
    ? "copy the folder that flaredb cert node ID wrote"
    : "copy the folder that flaredb cert client NAME wrote"

/** Everything wrong with the files of one node or client. `node` is the id that it must have. */
const checkHolder = Effect.fnUntraced(function*(
  files: HolderFiles,
  node: number | undefined,
  options: CheckOptions
): Effect.fn.Return<Checked> {
  const missing = [files.authorities, files.certificate, files.key].filter((file) => !Folder.exists(file))
  if (missing.length > 0) {
    return { ...nothing, problems: missing.map((file) => finding(file, "there is no such file", make(files.kind))) }
  }
  const owner = { kind: files.kind, cluster: options.cluster, node }
  const inside = contentProblem(files, owner, options.nowMs)
  const found: Array<Finding | undefined> = [
    yield* startProblem(files, owner),
    // A file that cannot be read is the start's problem already.
    yield* Effect.catch(inside, () => Effect.succeed(undefined))
  ]
  const held = yield* Effect.catch(readHeld(files), () => Effect.succeed(undefined))
  if (held !== undefined) {
    found.push(
      options.nodes === undefined ? undefined : hostProblem(held, options.nodes),
      useProblem(held),
      expiryProblem(held, options)
    )
  }
  const problems = found.filter((each) => each !== undefined)
  const isFirst = ({ file, problem }: Finding, i: number) =>
    problems.findIndex((other) => other.file === file && other.problem === problem) === i
  return { ...nothing, held: held === undefined ? [] : [held], problems: problems.filter(isFirst) }
})

/** What is wrong with an authority that is to issue: its certificates, its key, and who may read that. */
const authorityProblems = Effect.fnUntraced(function*(folder: string, { expiresWithinMs, nowMs }: CheckOptions) {
  const problems: Array<Finding> = []
  const file = Folder.caFile(folder)
  const key = Folder.caKeyFile(folder)
  if (!Folder.exists(file)) return [finding(file, "there is no such file", "bring it back, or run flaredb cert ca")]
  const authorities = yield* Folder.readCertificates(file)
  for (const authority of authorities) {
    const endsMs = Date.parse(authority.validTo)
    if (endsMs - nowMs > expiresWithinMs && endsMs > nowMs) continue
    const what = `the authority ${authority.subject.split("\n").join(", ")}`
    problems.push(finding(
      file,
      endsMs <= nowMs ? `${what} expired on ${isoTime(endsMs)}` : `${what} ends on ${isoTime(endsMs)}`,
      authorities.length > 1 ? "go on with flaredb cert rotate-ca" : "replace it with flaredb cert rotate-ca begin"
    ))
  }
  // It belongs elsewhere while nothing is issued.
  if (!Folder.exists(key)) return problems
  const mode = Folder.keyModeProblem(key)
  if (mode !== undefined) problems.push(finding(key, mode.problem, mode.advice))
  else if ((yield* Folder.authorityOfKey(key, authorities)) === undefined) {
    problems.push(finding(key, `it is not the key of ${file}`, "bring the two files together that belong together"))
  }
  return problems
})

const missingNodes = (folder: string, held: ReadonlyArray<Held>, nodes: ReadonlyArray<NodeAddress>) =>
  nodes
    .filter(({ id }) => !held.some(({ name }) => name.kind === "node" && name.node === id))
    .map(({ host, id }) =>
      finding(folder, `node ${id} has no certificate here`, `issue one with flaredb cert node ${id} --host ${host}`)
    )

/** What is said of a folder without the one node whose certificate is asked for. */
const missingNode = (folder: string, held: ReadonlyArray<Held>, { node, nodes }: CheckOptions) =>
  // A node that is among the nodes is missed there.
  node === undefined || nodes?.some(({ id }) => id === node) === true ||
    held.some(({ name }) => name.kind === "node" && name.node === node)
    ? []
    : [finding(folder, `node ${node} has no certificate here`, `issue one with flaredb cert node ${node}`)]

/** The folder of an authority: the authority itself, and all that it issued there. */
const checkAuthority = Effect.fnUntraced(function*(folder: string, options: CheckOptions): Effect.fn.Return<Checked> {
  const own = yield* Effect.catch(
    authorityProblems(folder, options),
    (failure) => Effect.succeed([ofFailure(Folder.caFile(folder))(failure)])
  )
  const holders = yield* Effect.catch(Folder.holdersIn(folder), () => Effect.succeed([]))
  const checked = yield* Effect.forEach(holders, (files) => checkHolder(files, undefined, options))
  const held = checked.flatMap((each) => each.held)
  const missing = [
    ...options.nodes === undefined ? [] : missingNodes(folder, held, options.nodes),
    ...missingNode(folder, held, options)
  ]
  const authorities = yield* Effect.catch(Folder.readCertificates(Folder.caFile(folder)), () => Effect.succeed([]))
  return { authorities, held, problems: [...own, ...checked.flatMap(({ problems }) => problems), ...missing] }
})

/** Checks the folder of an authority, or of a node or client. */
export const checkFolder = Effect.fnUntraced(function*(
  folder: string,
  options: CheckOptions
): Effect.fn.Return<Checked> {
  const kinds = (["node", "client"] as const).filter((kind) => {
    const { certificate, key } = Folder.holderFiles(folder, kind)
    return Folder.exists(certificate) || Folder.exists(key)
  })
  const holders = yield* Effect.catch(Folder.holdersIn(folder), () => Effect.succeed([]))
  const isAuthority = Folder.exists(Folder.caKeyFile(folder)) || holders.length > 0
  const parts: Array<Checked> = []
  if (isAuthority) parts.push(yield* checkAuthority(folder, options))
  for (const kind of kinds.length === 0 && !isAuthority ? ["node"] as const : kinds) {
    parts.push(yield* checkHolder(Folder.holderFiles(folder, kind), options.node, options))
  }
  return {
    authorities: parts.flatMap(({ authorities }) => authorities),
    held: parts.flatMap(({ held }) => held),
    problems: parts.flatMap(({ problems }) => problems)
  }
})
