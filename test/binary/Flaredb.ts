/** The command line with output that is bytes. */
import { spawn } from "node:child_process"
import { cleanEnv } from "../cluster/Flaredb.ts"

export interface Ran {
  readonly code: number | null
  readonly out: Buffer
  readonly err: string
}

export type Flaredb = (args: ReadonlyArray<string>, stdin?: string | Uint8Array) => Promise<Ran>

/** Runs `program` as `flaredb`, with a cluster's endpoints. */
export const flaredbAt = (program: string, endpoints: string): Flaredb => (args, stdin) =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], {
      env: {
        ...process.env,
        ...cleanEnv({
          FLAREDB_ENDPOINTS: endpoints,
          FLAREDB_TIMEOUT_MS: "30000",
          NODE_COMPILE_CACHE: "node_modules/.cache/flaredb-bin"
        })
      },
      stdio: [stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"]
    })
    const out: Array<Buffer> = []
    let err = ""
    child.stdout?.on("data", (chunk: Buffer) => out.push(chunk))
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      err += text
    })
    child.once("error", reject)
    child.once("close", (code) => resolve({ code, out: Buffer.concat(out), err }))
    child.stdin?.on("error", () => undefined)
    child.stdin?.end(stdin)
  })
