import type { OpenRpc, Rpc, RpcStream, RpcStreamListener } from "../base/rpc.ts";
import type { Trace } from "./trace.ts";

/** The way to other nodes, with every call, event and byte told to the trace. */
export function tracedOpenRpc(openRpc: OpenRpc, trace: Trace): OpenRpc {
  return async (options) => {
    trace.add("openRpc", options.tls !== null);
    return tracedRpc(await openRpc(options), trace);
  };
}

function tracedRpc(rpc: Rpc, trace: Trace): Rpc {
  return {
    listen: async (address, services) => {
      trace.add("rpc listen", address.host, address.port, ...services.keys());
      const traced = [...services].map(([name, service]) => {
        const admit: typeof service = (opening) => {
          trace.add("rpc opening", name, opening.remote, opening.bytes);
          const admission = service(opening);
          if (admission.kind === "rejected") {
            trace.add("rpc rejected", admission.message);
            return admission;
          }
          const onStream = (stream: RpcStream): RpcStreamListener =>
            tracedListener(admission.onStream(tracedStream(stream, trace)), trace);
          trace.add("rpc admitted", admission.answer);
          return { ...admission, onStream };
        };
        return [name, admit] as const;
      });
      const listener = await rpc.listen(address, new Map(traced));
      trace.add("rpc bound", listener.port);
      const { host, port } = listener;
      return {
        ...{ host, port },
        close: () => {
          trace.add("rpc unlisten", port);
          return listener.close();
        },
      };
    },
    open: (address, service, opening, listener) => {
      trace.add("rpc open", address.host, address.port, service, opening);
      return tracedStream(
        rpc.open(address, service, opening, tracedListener(listener, trace)),
        trace,
      );
    },
  };
}

function tracedListener(listener: RpcStreamListener, trace: Trace): RpcStreamListener {
  return {
    onOpen: (answer) => {
      trace.add("rpc opened", answer);
      listener.onOpen?.(answer);
    },
    onMessage: (message) => {
      trace.add("rpc message", message);
      listener.onMessage(message);
    },
    ...(listener.onDrain && {
      onDrain: () => {
        trace.add("rpc drain");
        listener.onDrain?.();
      },
    }),
    onEnd: (end) => {
      trace.add("rpc end", end.kind, end.message);
      listener.onEnd(end);
    },
  };
}

function tracedStream(stream: RpcStream, trace: Trace): RpcStream {
  const { remote } = stream;
  return {
    remote,
    get queuedBytes() {
      const { queuedBytes } = stream;
      trace.add("rpc queued", queuedBytes);
      return queuedBytes;
    },
    send: (message) => {
      trace.add("rpc send", remote, message);
      stream.send(message);
    },
    end: () => {
      trace.add("rpc close", remote);
      stream.end();
    },
    destroy: () => {
      trace.add("rpc destroy", remote);
      stream.destroy();
    },
  };
}
