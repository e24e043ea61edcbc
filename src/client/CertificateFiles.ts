/** Certificates and tokens of a client that are in files, which are followed while the client is in use. */
import type { Scope } from "effect"
import { Config, Effect, Option, Redacted } from "effect"
import { existsSync } from "node:fs"
import { readTokenFile } from "../SecretFile.ts"
import { errorCode } from "../ErrorCode.ts"
import { InvalidConfig } from "../config/ConfigProblem.ts"
import { errorText, unreadAdvice, unreadText } from "../ErrorText.ts"
import { Unauthenticated } from "../FlareDbError.ts"
import type { FileCredentials } from "../net/tls/FileCredentials.ts"
import { fromFiles } from "../net/tls/FileCredentials.ts"
import type { CredentialsError, CredentialsFiles } from "../net/tls/MaterialCheck.ts"
import type { ClientOptions } from "./ClientOptions.ts"

/** What `ClientOptions.tls` takes. */
export interface FileTls {
  readonly credentials: FileCredentials
}

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
  const text = await readTokenFile(file).catch((error: unknown) => {
    throw errorCode(error) === undefined
      ? error
      : new Error(`it cannot be read: ${unreadText(error)}; ${unreadAdvice(error)}`)
  })
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

const text = (name: string) => Config.option(Config.String(name))

const variables = Config.all({
  folder: text("FLAREDB_CERTS_DIR"),
  authorities: text("FLAREDB_TRUSTED_CA_FILE"),
  certificate: text("FLAREDB_CERT_FILE"),
  key: text("FLAREDB_KEY_FILE"),
  tokenFile: text("FLAREDB_TOKEN_FILE"),
  token: Config.option(Config.Redacted("FLAREDB_TOKEN"))
})

/**
 * What the environment says to show a cluster, with the variables of the command line: `FLAREDB_CERTS_DIR`, or
 * `FLAREDB_TRUSTED_CA_FILE`, `FLAREDB_CERT_FILE` and `FLAREDB_KEY_FILE`; `FLAREDB_TOKEN_FILE` or `FLAREDB_TOKEN`.
 * Without them connections are plain and nothing is shown.
 */
export const identityFromEnv: Effect.Effect<
  Pick<ClientOptions, "tls" | "token">,
  InvalidConfig | Config.ConfigError,
  Scope.Scope
> = Effect.gen(function*() {
  const given = yield* variables
  const folder: Partial<CredentialsFiles> = Option.isSome(given.folder) ? filesInFolder(given.folder.value) : {}
  const authorities = Option.getOrElse(given.authorities, () => folder.authorities)
  const certificate = Option.getOrElse(given.certificate, () => folder.certificate)
  const key = Option.getOrElse(given.key, () => folder.key)
  const refused = (problem: string) => new InvalidConfig({ problems: [{ field: "environment", problem }] })
  if (authorities === undefined && (certificate !== undefined || key !== undefined)) {
    return yield* refused("FLAREDB_CERT_FILE needs FLAREDB_TRUSTED_CA_FILE, or a stranger could answer as a node")
  }
  const tls = authorities === undefined
    ? undefined
    : yield* Effect.mapError(
      certificatesFromFiles({ authorities, certificate, key }),
      ({ message }) => refused(message)
    )
  const token = Option.isSome(given.tokenFile)
    ? tokenFromFile(given.tokenFile.value)
    : Option.getOrUndefined(given.token)
  return { tls, token }
})
