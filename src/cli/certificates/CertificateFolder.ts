/**
 * The folder in which `flaredb cert` keeps an authority and what it issued:
 *
 * ```
 * certs/ca.crt        the authority; two of them while it is replaced
 * certs/ca.key        its key
 * certs/ca-next.key   the key of the authority that replaces it, until that one issues
 * certs/ca-old.key    the key of the one that is replaced, until it is removed
 * certs/node-1/       ca.crt, node.crt, node.key: all that a node needs, to be copied to its machine
 * certs/client-NAME/  ca.crt, client.crt, client.key
 * ```
 */
import { Effect, Redacted } from "effect"
import type { X509Certificate } from "node:crypto"
import { readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileKind, notAFile } from "../../FileKind.ts"
import { othersMayUse } from "../../SecretFile.ts"
import type { Authority, CertificateProblem, Issued } from "../../certificates/Authority.ts"
import { openAuthority, pairedWith } from "../../certificates/Authority.ts"
import { parsePem } from "../../certificates/Certificates.ts"
import { errorCode } from "../../ErrorCode.ts"
import { unreadText, unwrittenText } from "../../ErrorText.ts"
import type { CertificateName } from "../../net/tls/CertificateName.ts"
import { createDirectory, syncFolder } from "../../storage/Folder.ts"
import type { Failure } from "../output/Failure.ts"
import { failed, failureOf, wrongUsage } from "../output/Failure.ts"
import { writeOutputFile } from "../output/OutputFile.ts"

/** A larger file is none of certificates. */
const maxFileBytes = 1024 * 1024

/** Entries of a folder that are looked at. */
const maxEntries = 10_000

export const caFile = (folder: string): string => join(folder, "ca.crt")
export const caKeyFile = (folder: string): string => join(folder, "ca.key")
export const nextKeyFile = (folder: string): string => join(folder, "ca-next.key")
export const oldKeyFile = (folder: string): string => join(folder, "ca-old.key")

/** Where the certificate of a node or client lies. */
export interface HolderFiles {
  readonly folder: string
  readonly kind: CertificateName["kind"]
  readonly authorities: string
  readonly certificate: string
  readonly key: string
}

export const holderFiles = (folder: string, kind: CertificateName["kind"]): HolderFiles => ({
  folder,
  kind,
  authorities: caFile(folder),
  certificate: join(folder, `${kind}.crt`),
  key: join(folder, `${kind}.key`)
})

/** The files of a name below the folder of its authority. */
export const filesOf = (folder: string, name: CertificateName): HolderFiles =>
  holderFiles(join(folder, name.kind === "node" ? `node-${name.node}` : `client-${name.client}`), name.kind)

/**
 * Whether there is something of that name. A link to nothing counts as nothing. What this user may not look at counts:
 * to read it then fails, and says why.
 */
export const exists = (path: string): boolean => {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    return errorCode(error) !== "ENOTDIR"
  }
}

/** What a file holds, or why it cannot be read. A pipe or a device would have the command wait without end. */
export const readText = (path: string): Effect.Effect<string, Failure> =>
  Effect.suspend(() => {
    const refuse = (problem: string) => Effect.fail(failed(`${path}: ${problem}`))
    try {
      const stats = statSync(path, { throwIfNoEntry: false })
      if (stats === undefined) return Effect.fail(wrongUsage(`there is no file ${path}`))
      if (!stats.isFile()) return refuse(notAFile(stats))
      if (stats.size > maxFileBytes) return refuse(`it has ${stats.size} bytes, over ${maxFileBytes}`)
      return Effect.succeed(readFileSync(path, "utf8"))
    } catch (error) {
      return refuse(`it cannot be read: ${unreadText(error)}`)
    }
  })

/** A problem of certificates as a failure; `path` is the file that it is about. */
export const inFile = (path: string) => ({ problem }: CertificateProblem): Failure => failed(`${path}: ${problem}`)

/** The certificates in a file. */
export const readCertificates = Effect.fnUntraced(function*(path: string) {
  const text = yield* readText(path)
  return yield* Effect.mapError(Effect.fromResult(parsePem(text)), inFile(path))
})

/** The certificates of the authorities in a folder, the oldest first. */
export const readAuthorities = Effect.fnUntraced(function*(folder: string) {
  if (!exists(caFile(folder))) {
    return yield* wrongUsage(
      `there is no authority in ${folder}: make one with flaredb cert ca, or name its folder ` +
        "with --certs-dir"
    )
  }
  return yield* readCertificates(caFile(folder))
})

/** Who besides its owner may read a key, and how to change that; `undefined` when it is the owner alone. */
export const keyModeProblem = (path: string): { readonly problem: string; readonly advice: string } | undefined => {
  const mode = (statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o777
  return !othersMayUse(mode) ? undefined : {
    problem: `others than its owner may read the key (mode ${mode.toString(8).padStart(3, "0")})`,
    advice: `run chmod 600 ${path}`
  }
}

/** The key of an authority. One that others may read is refused. */
const readKey = Effect.fnUntraced(function*(path: string) {
  const text = yield* readText(path)
  const mode = keyModeProblem(path)
  if (mode !== undefined) return yield* failed(`${path}: ${mode.problem}; ${mode.advice}`)
  return Redacted.make(text, { label: "private key" })
})

/** The one of `authorities` whose key is in a file, ready to issue; `undefined` when the key is that of none. */
export const authorityOfKey = Effect.fnUntraced(function*(path: string, authorities: ReadonlyArray<X509Certificate>) {
  const key = yield* readKey(path)
  const index = yield* Effect.mapError(Effect.fromResult(pairedWith(authorities, key)), inFile(path))
  const certificate = authorities[index]
  if (certificate === undefined) return undefined
  const opened = openAuthority({ certificate: certificate.toString(), key })
  return { index, authority: yield* Effect.mapError(Effect.fromResult(opened), inFile(path)) }
})

/** The authority that issues in a folder. */
export const readAuthority = Effect.fnUntraced(function*(folder: string): Effect.fn.Return<Authority, Failure> {
  const authorities = yield* readAuthorities(folder)
  const file = caKeyFile(folder)
  if (!exists(file)) {
    return yield* wrongUsage(`there is no key of the authority at ${file}: bring it there while you issue certificates`)
  }
  const found = yield* authorityOfKey(file, authorities)
  return found === undefined ? yield* failed(`${file} is not the key of ${caFile(folder)}`) : found.authority
})

const attempt = <A>(path: string, work: () => A): Effect.Effect<A, Failure> =>
  Effect.try({ try: work, catch: (error) => failed(`${path} cannot be changed: ${unwrittenText(error)}`) })

/** Creates a folder for its owner alone. */
export const makeFolder = (path: string): Effect.Effect<void, Failure> =>
  Effect.try({ try: () => createDirectory(path), catch: failureOf })

/** Writes a file that appears whole or not at all, for its owner alone. A pipe or a device would get the key. */
export const writeText = (path: string, text: string, overwrite: boolean): Effect.Effect<void, Failure> =>
  Effect.flatMap(
    attempt(path, () => statSync(path, { throwIfNoEntry: false })),
    (stats) =>
      stats?.isFile() === false
        ? Effect.fail(failed(`${path}: it is ${fileKind(stats)}; move it away, or give another folder`))
        : writeOutputFile(path, Buffer.from(text, "utf8"), overwrite, { advice: "--overwrite replaces it" })
  )

/** Gives a file another name. Nothing of that name may be lost: the caller has looked. */
export const moveFile = (from: string, to: string): Effect.Effect<void, Failure> =>
  attempt(from, () => {
    renameSync(from, to)
    syncFolder(dirname(to))
  })

export const removeFile = (path: string): Effect.Effect<void, Failure> =>
  attempt(path, () => {
    rmSync(path, { force: true })
    syncFolder(dirname(path))
  })

/** Refuses to replace files before anything is made. */
export const refuseExisting = (paths: ReadonlyArray<string>, advice: string): Effect.Effect<void, Failure> => {
  for (const path of paths) {
    try {
      statSync(path, { throwIfNoEntry: false })
    } catch (error) {
      return Effect.fail(failed(`${path} cannot be looked at: ${unreadText(error)}`))
    }
  }
  const taken = paths.filter(exists)
  const verb = taken.length === 1 ? "exists" : "exist"
  return taken.length === 0 ? Effect.void : Effect.fail(wrongUsage(`${taken.join(" and ")} ${verb} already; ${advice}`))
}

/** The authorities' certificates as one PEM text. */
export const bundle = (certificates: ReadonlyArray<X509Certificate>): string =>
  certificates.map((certificate) => certificate.toString()).join("")

/**
 * Writes all that a node or client needs into its folder. The certificate comes last: until it is there, a folder of
 * old files has the old certificate, and its key no longer fits, which every start says.
 */
export const writeHolder = Effect.fnUntraced(function*(files: HolderFiles, authorities: string, issued: Issued) {
  yield* makeFolder(files.folder)
  yield* writeText(files.authorities, authorities, true)
  yield* writeText(files.key, Redacted.value(issued.key), true)
  yield* writeText(files.certificate, issued.certificate, true)
})

/** The folders of nodes and clients below the folder of an authority, nodes first, by number and by name. */
export const holdersIn = (folder: string): Effect.Effect<ReadonlyArray<HolderFiles>, Failure> =>
  Effect.suspend(() => {
    const names = attempt(folder, () => readdirSync(folder, { withFileTypes: true }))
    return Effect.flatMap(names, (entries) => {
      if (entries.length > maxEntries) {
        return Effect.fail(failed(`${folder} has ${entries.length} entries, over ${maxEntries}`))
      }
      const found: Array<readonly [order: number, name: string, files: HolderFiles]> = []
      for (const entry of entries) {
        const [, id, client] = /^(?:node-(\d{1,9})|client-(.+))$/.exec(entry.name) ?? []
        if (id === undefined && client === undefined) continue
        const files = holderFiles(join(folder, entry.name), id === undefined ? "client" : "node")
        if (exists(files.certificate)) found.push([id === undefined ? Infinity : Number(id), entry.name, files])
      }
      found.sort(([a, nameA], [b, nameB]) => a === b ? (nameA < nameB ? -1 : 1) : a - b)
      return Effect.succeed(found.map(([, , files]) => files))
    })
  })
