/**
 * The answers of the HTTP port that their callers have not taken yet, which lie in the memory of the node. While they
 * have more bytes than `maxPendingAnswerBytes`, nothing that could add to them is asked for. `UnreadAnswers.ts` closes
 * the connections of those that take nothing.
 */
import type { Server, ServerResponse } from "node:http"
import type { BoundedTable } from "../BoundedTables.ts"
import { Overloaded } from "../FlareDbError.ts"

export class OpenAnswers {
  private readonly maximum: number
  private readonly open = new Set<ServerResponse>()

  constructor(maximum: number) {
    this.maximum = maximum
  }

  /** Counts the answers of a server. */
  watch(server: Server): void {
    server.on("request", (_, response) => {
      this.open.add(response)
      response.once("close", () => this.open.delete(response))
    })
  }

  get bytes(): number {
    let bytes = 0
    // Of the answers of one connection only the first has the socket, and what that buffers.
    for (const response of this.open) bytes += response.writableLength
    return bytes
  }

  /** Why nothing more is asked for now; `undefined` while there is room. */
  readonly refusal = (): Overloaded | undefined => {
    const { bytes, maximum } = this
    return bytes < maximum ? undefined : new Overloaded({ limit: "maxPendingAnswerBytes", current: bytes, maximum })
  }

  get table(): BoundedTable {
    return {
      table: "http_answer_bytes",
      entries: () => this.bytes,
      limit: this.maximum,
      setting: "maxPendingAnswerBytes"
    }
  }
}
