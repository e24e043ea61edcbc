/** Certificates and tokens of a client that are in files, which are followed while the client is in use. */
import type { Scope } from "effect"
import { Effect, Redacted } from "effect"
import { existsSync } from "node:fs"
import { readFile, stat } from "node:fs/promises"
import { errorText } from "../ErrorText.ts"
import { Unauthenticated } from "../FlareDbError.ts"
import type { FileCredentials } from "../net/tls/FileCredentials.ts"
import { fromFiles } from "../net/tls/FileCredentials.ts"
import type { CredentialsError, CredentialsFiles } from "../net/tls/MaterialCheck.ts"

/** What `ClientOptions.tls` takes. */
export interface FileTls {
  readonly credentials: FileCredentials
}

/** A larger file holds no token. */
const maxTokenFileBytes = 4_096

/**
 * TLS with certificates from single files: the authorities that are trusted, and the client's own certificate with its
 * key, or neither where it has a token. A node's certificate is one of a client, too, which may do everything.
 *
 * Files that change are read again within seconds, for new connections; a set that cannot be used is a warning in the
 * log, and the one before goes on. Fails with what is wrong and what to do, also where others may read the key.
 */
export const certificatesFromFiles = (
  files: CredentialsFiles
): Effect.Effect<FileTls, CredentialsError, Scope.Scope> =>
  Effect.map(fromFiles({ ...files, owner: {}, use: "client" }), (credentials) => ({ credentials }))

/** The files of a client's folder: `ca.crt`, and `client.crt` with `client.key` where one of them is there. */
export const filesInFolder = (folder: string): CredentialsFiles => {
  const [certificate, key] = [`${folder}/client.crt`, `${folder}/client.key`]
  const authorities = `${folder}/ca.crt`
  return existsSync(certificate) || existsSync(key) ? { authorities, certificate, key } : { authorities }
}

/** {@link certificatesFromFiles} for a folder as `flaredb cert` writes it: `ca.crt`, `client.crt`, `client.key`. */
export const certificatesFromFolder = (folder: string): Effect.Effect<FileTls, CredentialsError, Scope.Scope> =>
  Effect.suspend(() => certificatesFromFiles(filesInFolder(folder)))

const readToken = async (file: string): Promise<string> => {
  const { mode, size } = await stat(file)
  if ((mode & 0o077) !== 0 && process.platform !== "win32") {
    throw new Error(`others than its owner may read it; run chmod 600 ${file}`)
  }
  if (size > maxTokenFileBytes) throw new Error(`it has ${size} bytes, which is no token`)
  const text = (await readFile(file, "utf8")).trim()
  if (text === "") throw new Error("it is empty")
  return text
}

/**
 * The token in a file, for `ClientOptions.token`: read for each connection, so that one that was replaced is followed.
 * Refused where others may read it.
 */
export const tokenFromFile = (file: string): Effect.Effect<Redacted.Redacted, Unauthenticated> =>
  Effect.tryPromise({
    try: async () => Redacted.make(await readToken(file), { label: "token" }),
    catch: (error) => new Unauthenticated({ reason: `the token file ${file}: ${errorText(error)}` })
  })
