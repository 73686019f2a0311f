/** The protocols of a consumer that subscribes to the topics. */
export function subscription(...topics: string[]) {
  const parts = topics.flatMap((topic) => {
    const length = Buffer.alloc(2);
    length.writeInt16BE(topic.length);
    return [length, Buffer.from(topic)];
  });
  const head = Buffer.alloc(6);
  head.writeInt32BE(topics.length, 2);
  const metadata = Buffer.concat([head, ...parts, Buffer.from([255, 255, 255, 255])]);
  return [{ name: "range", metadata }];
}
