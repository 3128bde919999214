/** What parser.ts uses that is typed nowhere else: the package types only its wrapper, and Node's types leave this to a browser's. */

declare namespace WebAssembly {
  type Imports = Record<string, Record<string, unknown>>;
  class Module {
    constructor(code: Uint8Array);
  }
  class Instance {
    constructor(module: Module, imports: Imports);
    readonly exports: Record<string, unknown>;
  }
}

declare module 'libpg-query/wasm/libpg-query.js' {
  /** The module as Emscripten makes it. */
  export interface PgQueryModule {
    readonly HEAPU8: Uint8Array;
    readonly HEAPU32: Uint32Array;
    _malloc(bytes: number): number;
    _free(pointer: number): void;
    /** Pointer to `PgQueryParseResult`: pointers to the tree as JSON, to stderr's text, to `PgQueryError`. */
    _wasm_parse_query_raw(text: number): number;
    _wasm_free_parse_result(result: number): void;
    /** Pointer to tokens as JSON, or to a message. */
    _wasm_scan(text: number): number;
    _wasm_free_string(text: number): void;
  }
  export default function factory(options: {
    readonly instantiateWasm: (
      imports: WebAssembly.Imports,
      done: (instance: WebAssembly.Instance) => void,
    ) => object;
    readonly print: (text: string) => void;
    readonly printErr: (text: string) => void;
  }): Promise<PgQueryModule>;
}
