/** What went in and out, counted where it happens and gathered when somebody asks. */
export interface Traffic {
  messagesIn: number;
  /** Of record batches. */
  bytesIn: number;
  bytesOut: number;
}

export function noTraffic(): Traffic {
  return { messagesIn: 0, bytesIn: 0, bytesOut: 0 };
}

export function addTraffic(sum: Traffic, traffic: Traffic): void {
  sum.messagesIn += traffic.messagesIn;
  sum.bytesIn += traffic.bytesIn;
  sum.bytesOut += traffic.bytesOut;
}
