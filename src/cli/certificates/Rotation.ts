/**
 * The three steps in which a cluster gets another authority while it runs. Between them the files are copied to their
 * machines, which this program cannot see: it goes by what lies in the folder of the authority.
 *
 * 1. `begin`: the new authority stands beside the old one in every `ca.crt`. The old one goes on issuing.
 * 2. `reissue`: the new one issues, and every certificate is replaced by one of it.
 * 3. `finish`: the old one is removed from every `ca.crt`.
 *
 * Each step may be repeated after it was cut off, and then does what is left of it.
 */
import { Effect, Redacted } from "effect"
import type { X509Certificate } from "node:crypto"
import type { Authority } from "../../certificates/Authority.ts"
import { issue, makeAuthority } from "../../certificates/Authority.ts"
import { factsOf, isIssuedBy, parsePem } from "../../certificates/Certificates.ts"
import type { Failure } from "../output/Failure.ts"
import { failed, wrongUsage } from "../output/Failure.ts"
import * as Folder from "./CertificateFolder.ts"
import type { Held } from "./Holders.ts"
import { isHeldFrom, readHeld } from "./Holders.ts"

const begin1 = "flaredb cert rotate-ca begin"
const reissue2 = "flaredb cert rotate-ca reissue"
const finish3 = "flaredb cert rotate-ca finish"

const refuse = (line: string) => Effect.fail(wrongUsage(line))

/** Writes the authorities that are accepted into the folders of all holders, and of the authority last. */
const writeAuthorities = Effect.fnUntraced(function*(folder: string, certificates: ReadonlyArray<X509Certificate>) {
  const text = Folder.bundle(certificates)
  const holders = yield* Folder.holdersIn(folder)
  for (const { authorities } of holders) yield* Folder.writeText(authorities, text, true)
  yield* Folder.writeText(Folder.caFile(folder), text, true)
  return holders.map((holder) => holder.folder)
})

/** The new authority, when its key is at one of the two places where it lies while the old one is replaced. */
const findNew = Effect.fnUntraced(function*(folder: string, authorities: ReadonlyArray<X509Certificate>) {
  for (const file of [Folder.nextKeyFile(folder), Folder.caKeyFile(folder)]) {
    if (!Folder.exists(file)) continue
    const found = yield* Folder.authorityOfKey(file, authorities)
    if (found?.index === 1) return { authority: found.authority, file }
  }
  return undefined
})

/** The old and the new authority while there are two of them. */
const readPair = Effect.fnUntraced(function*(folder: string) {
  const authorities = yield* Folder.readAuthorities(folder)
  const [old, next, ...more] = authorities
  if (old === undefined || next === undefined) {
    return yield* refuse(`${Folder.caFile(folder)} has one authority: nothing is being replaced; run ${begin1}`)
  }
  if (more.length > 0) {
    return yield* refuse(`${Folder.caFile(folder)} has ${authorities.length} authorities; a rotation has two`)
  }
  const found = yield* findNew(folder, authorities)
  if (found === undefined) {
    return yield* failed(
      `neither ${Folder.nextKeyFile(folder)} nor ${Folder.caKeyFile(folder)} is the key of the second authority in ` +
        `${Folder.caFile(folder)}: bring that key back, or remove the second certificate there and run ${begin1}`
    )
  }
  return { old, next, authority: found.authority, isIssuing: found.file === Folder.caKeyFile(folder) }
})

export interface Begun {
  readonly authority: Authority
  /** The folders whose `ca.crt` has both authorities. */
  readonly folders: ReadonlyArray<string>
}

const refuseOther = (file: string, cluster: string | undefined, asked: string | undefined) =>
  asked === undefined || cluster === undefined || cluster === asked
    ? Effect.void
    : refuse(`${file} is the authority of cluster ${cluster}, not ${asked}`)

/** Step 1. `cluster` is needed only where the old authority does not say it. */
export const begin = Effect.fnUntraced(function*(
  folder: string,
  options: { readonly cluster: string | undefined; readonly days: number; readonly nowMs: number }
): Effect.fn.Return<Begun, Failure> {
  const authorities = yield* Folder.readAuthorities(folder)
  const file = Folder.caFile(folder)
  if (authorities.length > 1) {
    const { authority, isIssuing } = yield* readPair(folder)
    yield* refuseOther(file, authority.cluster, options.cluster)
    if (isIssuing) {
      return yield* refuse(`${file} has two authorities and the new one issues already: go on with ${finish3}`)
    }
    return { authority, folders: yield* writeAuthorities(folder, authorities) }
  }
  const old = yield* Folder.readAuthority(folder)
  const cluster = old.cluster ?? options.cluster
  if (cluster === undefined) return yield* refuse(`${file} does not say of which cluster it is: give --cluster`)
  yield* refuseOther(file, cluster, options.cluster)
  const made = yield* Effect.fromResult(makeAuthority({ ...options, cluster })).pipe(
    Effect.mapError(({ field, problem }) => wrongUsage(`--${field}: ${problem}`))
  )
  const [certificate] = yield* Effect.orDie(Effect.fromResult(parsePem(made.certificate)))
  if (certificate === undefined) return yield* failed("the new authority cannot be read")
  // A key that is there already is of a step that was cut off before any file named its authority.
  yield* Folder.writeText(Folder.nextKeyFile(folder), Redacted.value(made.key), true)
  return { authority: made, folders: yield* writeAuthorities(folder, [...authorities, certificate]) }
})

export interface Reissued {
  readonly authority: Authority
  readonly issued: ReadonlyArray<Held>
  /** Those that had one of the new authority already. */
  readonly kept: ReadonlyArray<Held>
}

const accepts = Effect.fnUntraced(function*({ authorities }: Folder.HolderFiles, next: X509Certificate) {
  const found = Folder.exists(authorities) ? yield* Folder.readCertificates(authorities) : []
  return found.some(({ fingerprint256 }) => fingerprint256 === next.fingerprint256)
})

/** All holders of a folder. Fails at the first whose certificate cannot be read. */
const readHolders = Effect.fnUntraced(function*(folder: string) {
  return yield* Effect.forEach(yield* Folder.holdersIn(folder), readHeld)
})

/** Step 2. */
export const reissue = Effect.fnUntraced(function*(
  folder: string,
  options: { readonly days: number; readonly nowMs: number }
): Effect.fn.Return<Reissued, Failure> {
  const { authority, isIssuing, next, old } = yield* readPair(folder)
  const holders = yield* readHolders(folder)
  for (const held of holders) {
    if (!(yield* accepts(held.files, next))) {
      return yield* refuse(
        `${held.files.authorities} does not have the new authority yet: run ${begin1} again, and copy it`
      )
    }
    if (!isHeldFrom(held, [old, next])) {
      return yield* failed(`${held.files.certificate} was issued by neither authority in ${Folder.caFile(folder)}`)
    }
  }
  const authorities = Folder.bundle([old, next])
  const kept = holders.filter(({ certificate }) => isIssuedBy(certificate, next))
  const issued: Array<Held> = []
  for (const held of holders) {
    if (kept.includes(held)) continue
    const { files, hosts, name } = held
    const made = yield* Effect.mapError(
      Effect.fromResult(issue(authority, { ...options, hosts, name })),
      Folder.inFile(files.certificate)
    )
    yield* Folder.writeHolder(files, authorities, made)
    issued.push(yield* readHeld(files))
  }
  if (!isIssuing) {
    const key = Folder.caKeyFile(folder)
    if (Folder.exists(key)) yield* Folder.moveFile(key, Folder.oldKeyFile(folder))
    yield* Folder.moveFile(Folder.nextKeyFile(folder), key)
  }
  return { authority, issued, kept }
})

export interface Finished {
  /** Fingerprint of the authority that is gone. */
  readonly removed: string
  readonly folders: ReadonlyArray<string>
}

/** Step 3. `shown` are certificates that running nodes showed, with the port of each. */
export const finish = Effect.fnUntraced(function*(
  folder: string,
  shown: ReadonlyArray<{ readonly where: string; readonly certificate: X509Certificate }>
): Effect.fn.Return<Finished, Failure> {
  const { isIssuing, next, old } = yield* readPair(folder)
  if (!isIssuing) return yield* refuse(`the new authority does not issue yet: run ${reissue2}, and copy what it wrote`)
  const behind = (yield* readHolders(folder)).filter((held) => !isHeldFrom(held, [next]))
  const [first] = behind
  if (first !== undefined) {
    return yield* refuse(
      `${first.files.certificate} is not of the new authority${
        behind.length === 1 ? "" : ` (and ${behind.length - 1} more)`
      }: run ${reissue2} again, and copy what it wrote`
    )
  }
  for (const { certificate, where } of shown) {
    if (!isIssuedBy(certificate, next)) {
      return yield* refuse(
        `${where} shows a certificate that is not of the new authority: copy what ${reissue2} wrote there`
      )
    }
  }
  // Its key goes first: once there is one authority, this step has nothing left to do.
  yield* Folder.removeFile(Folder.oldKeyFile(folder))
  return { removed: factsOf(old).fingerprint, folders: yield* writeAuthorities(folder, [next]) }
})
