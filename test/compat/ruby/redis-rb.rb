# Drives redis-rb: ruby redis-rb.rb HOST PORT
#
# The library blocks in subscribe, in a thread of its own. To change what it listens to, the subscriber is sent a
# message on a topic kept for that.
require "json"
require "redis"
require "socket"
require "timeout"

PATIENCE = 120 # bounds every wait, in seconds; nothing is measured with it
THOUSAND = 1000
MANY = 2000
NAME = "compat-#{Process.pid}"

def topic(name)
  "#{NAME}:#{name}"
end

def same(what, got, want)
  raise "#{what}: got #{got.inspect}, not #{want.inspect}" unless got == want
end

def eventually(what)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + PATIENCE
  until yield
    raise "#{what}: not within #{PATIENCE} s" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

    sleep 0.01
  end
end

# A subscriber that comes back as the library's users do: it rescues the loss and subscribes again, on the same object.
class Subscriber
  attr_reader :events

  def initialize(host, port)
    @redis = Redis.new(host: host, port: port, timeout: PATIENCE, reconnect_attempts: 0)
    @events = Queue.new
    @orders = Queue.new
  end

  def start
    @thread = Thread.new { listen }
  end

  # order has a block run by the thread that listens.
  def order(publisher, &block)
    @orders << block
    publisher.publish(topic("orders"), "now")
  end

  private

  def listen
    first = [topic("orders"), topic("one"), topic("two")]
    begin
      @redis.call("CLIENT", "SETNAME", NAME)
      @redis.subscribe(*first) do |on|
        %i[subscribe psubscribe unsubscribe punsubscribe].each do |kind|
          on.public_send(kind) { |name, count| @events << [kind.to_s, name, count] }
        end
        on.message { |name, payload| name == topic("orders") ? @orders.pop.call(@redis) : @events << ["message", name, payload] }
        on.pmessage { |pattern, name, payload| @events << ["pmessage", pattern, name, payload] }
      end
    rescue Redis::BaseConnectionError => e
      @events << ["lost", e.class.name]
      first = [topic("orders"), topic("one")] + (0...MANY).map { |i| topic("many-#{i}") }
      retry
    end
  rescue StandardError => e
    @events << ["ended", e.class.name, e.message]
  end
end

# The checks, one method each.
class Scenario
  def initialize(host, port)
    @host = host
    @port = port
    @pub = Redis.new(host: host, port: port, timeout: PATIENCE)
    @sub = Subscriber.new(host, port)
  end

  def expect(*all)
    all.each_with_index do |want, i|
      got = Timeout.timeout(PATIENCE, RuntimeError, "event #{i + 1} of #{all.size}: nothing, not #{want}") { @sub.events.pop }
      got = got.map { |v| v.is_a?(String) ? v.b : v }
      want = want.map { |v| v.is_a?(String) ? v.b : v }
      same("event #{i + 1} of #{all.size}", got, want)
    end
  end

  def publish(name, payload, want)
    same("PUBLISH #{name}", @pub.publish(topic(name), payload), want)
  end

  def connect
    same("PING", @pub.ping, "PONG")
  end

  def subscribe
    @sub.start
    expect(["subscribe", topic("orders"), 1], ["subscribe", topic("one"), 2], ["subscribe", topic("two"), 3])
    @sub.order(@pub) { |redis| redis.psubscribe(topic("news.*")) }
    expect(["psubscribe", topic("news.*"), 4])
  end

  def counts
    @sub.order(@pub) { |redis| redis.subscribe(topic("news.both")) }
    expect(["subscribe", topic("news.both"), 5])
    publish("nobody", "x", 0)
    publish("one", "", 1)
    publish("news.x", "\r\n\0\xff", 1)
    publish("news.both", "z", 2)
    publish("two", "last", 1)
    expect(["message", topic("one"), ""], ["pmessage", topic("news.*"), topic("news.x"), "\r\n\0\xff"],
           ["message", topic("news.both"), "z"], ["pmessage", topic("news.*"), topic("news.both"), "z"],
           ["message", topic("two"), "last"])
  end

  # A thousand messages, in turn for a topic and for the pattern.
  def numbered(prefix)
    (0...THOUSAND).map do |i|
      i.even? ? ["message", topic("one"), "#{prefix}#{i}"] : ["pmessage", topic("news.*"), topic("news.#{i}"), "#{prefix}#{i}"]
    end
  end

  def thousand
    all = numbered("redis ")
    counts = @pub.pipelined { |pipeline| all.each { |m| pipeline.publish(m[-2], m[-1]) } }
    same("PUBLISH", counts, [1] * THOUSAND)
    expect(*all)
  end

  # Publishes as a person would, in typed lines, and reads every answer.
  def lines
    all = numbered('line, "quoted" ')
    Timeout.timeout(PATIENCE) do
      TCPSocket.open(@host, @port) do |conn|
        conn.write(all.map { |m| "PUB #{m[-2]} #{m[-1]}\n" }.join)
        all.each { |m| same("PUB", conn.gets, "OK PUB #{m[-2]}\n") }
      end
    end
    expect(*all)
  end

  # The library sends it but hands no answer to its user; what follows shows that it did not trip.
  def ping
    @sub.order(@pub, &:ping)
    publish("one", "after the ping", 1)
    expect(["message", topic("one"), "after the ping"])
  end

  def unsubscribe
    @sub.order(@pub) { |redis| redis.unsubscribe(topic("two"), topic("news.both")) }
    expect(["unsubscribe", topic("two"), 4], ["unsubscribe", topic("news.both"), 3])
    @sub.order(@pub) { |redis| redis.punsubscribe(topic("news.*")) }
    expect(["punsubscribe", topic("news.*"), 2])
    publish("two", "x", 0)
    publish("news.both", "x", 0)
    publish("one", "still", 1)
    expect(["message", topic("one"), "still"])
  end

  def publish_many(payload)
    topics = (0...MANY).map { |i| topic("many-#{i}") }
    counts = @pub.pipelined { |pipeline| topics.each { |t| pipeline.publish(t, payload) } }
    same("PUBLISH", counts, [1] * MANY)
    expect(*topics.map { |t| ["message", t, payload] })
  end

  def many
    topics = (0...MANY).map { |i| topic("many-#{i}") }
    @sub.order(@pub) { |redis| redis.subscribe(*topics) }
    expect(*topics.each_with_index.map { |t, i| ["subscribe", t, i + 3] })
    publish_many("first")
  end

  def listed
    client = @pub.client(:list).find { |c| c["name"] == NAME && c["sub"] != "0" }
    client && client["id"]
  end

  def killed
    id = listed
    raise "CLIENT LIST: no subscriber has the name #{NAME} in #{@pub.client(:list)}" unless id

    same("CLIENT KILL ID #{id}", @pub.client(:kill, "ID", id), 1)
    eventually("the killed one out of CLIENT LIST") { listed != id }
    ["one", "many-#{MANY - 1}"].each do |name|
      eventually("a subscriber of #{name} after the kill") { @pub.publish(topic(name), "probe").positive? }
    end
    publish("one", "here again", 1)
    Timeout.timeout(PATIENCE, RuntimeError, "no message after the kill") do
      nil until @sub.events.pop == ["message", topic("one"), "here again"]
    end
    publish_many("second")
  end

  def streams
    stream = topic("stream")
    entries = (0..2).map { |n| [@pub.xadd(stream, { "n" => n.to_s }), { "n" => n.to_s }] }
    same("XRANGE", @pub.xrange(stream), entries)
    same("XREAD", @pub.xread(stream, entries[0][0], block: 1000), { stream => entries[1..] })
    same("XTRIM", @pub.xtrim(stream, 1), 2)
    same("DEL", @pub.del(stream), 1)
  end
end

checks = { "connect" => :connect, "subscribe" => :subscribe, "PUBLISH counts" => :counts, "a thousand messages" => :thousand,
           "a thousand lines" => :lines, "ping while subscribed" => :ping, "unsubscribe" => :unsubscribe,
           "2,000 topics at once" => :many, "killed and back" => :killed, "streams" => :streams }
report = { client: "redis-rb", version: Redis::VERSION, protocol: "RESP2", checks: [], ok: true }
scenario = Scenario.new(ARGV.fetch(0), Integer(ARGV.fetch(1)))
checks.each do |name, method|
  if method == :lines && ENV["CONCH"] != "1"
    report[:checks] << { name: name, ok: true, skipped: "this server does not speak lines" }
    next
  end
  scenario.public_send(method)
  report[:checks] << { name: name, ok: true }
rescue StandardError => e
  report[:checks] << { name: name, ok: false, error: "#{e.class}: #{e.message}" }
  report[:ok] = false
  break
end
puts JSON.generate(report)
exit(report[:ok] ? 0 : 1)
