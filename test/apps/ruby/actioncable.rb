# Rails' ActionCable with its Redis adapter: a server of ActionCable in each of two processes, without HTTP.
#
# actioncable.rb HOST PORT VARIANT serve|use [-]
require "active_support/all"
require "action_cable"
require "json"
require "logger"
require "redis"

PATIENCE = 60 # bounds every wait, in seconds; nothing is measured with it
MANY = 200

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

# A server as config/cable.yml makes it.
def start(host, port)
  config = ActionCable::Server::Configuration.new
  config.logger = Logger.new($stderr, level: Logger::WARN)
  config.cable = { adapter: "redis", host: host, port: port, channel_prefix: "apps" }.with_indifferent_access
  ActionCable::Server::Base.new(config: config)
end

# Subscribes to a broadcasting, and waits until that is confirmed. What comes is handed to the block by threads of the server.
def subscribe(server, name, &block)
  confirmed = Queue.new
  callback = ->(text) { block.call(ActiveSupport::JSON.decode(text)) }
  server.pubsub.subscribe(name, callback, -> { confirmed << name })
  eventually("subscribed to #{name}") { !confirmed.empty? }
  callback
end

# Repeats what is broadcast to questions.
def serve(host, port)
  server = start(host, port)
  subscribe(server, "questions") { |message| server.broadcast("answers", message) }
  puts "ready -"
  $stdout.flush
  sleep # until the run ends this process
end

# The checks, one method each.
class Scenario
  def initialize(host, port)
    @server = start(host, port)
    @redis = Redis.new(host: host, port: port, timeout: PATIENCE)
    @got = Queue.new
  end

  def subscribers(name)
    @redis.pubsub(:numsub, "apps:#{name}").last
  end

  def subscribed
    @answers = subscribe(@server, "answers") { |message| @got << message }
    same("subscribers", [subscribers("answers"), subscribers("questions")], [1, 1])
  end

  def answered
    @server.broadcast("questions", { "text" => "why? \u00e9\r\n" })
    eventually("an answer") { @got.size == 1 }
    same("the answer", @got.pop, { "text" => "why? \u00e9\r\n" })
  end

  # The threads of the server keep no order.
  def many
    MANY.times { |i| @server.broadcast("questions", i) }
    eventually("#{MANY} answers") { @got.size >= MANY }
    same("the answers", Array.new(@got.size) { @got.pop }.sort, (0...MANY).to_a)
  end

  # One subscription of Redis serves all callbacks of a broadcasting.
  def shared
    second = Queue.new
    callback = subscribe(@server, "answers") { |message| second << message }
    same("subscribers", subscribers("answers"), 1)
    @server.broadcast("questions", "two")
    eventually("both callbacks") { @got.size == 1 && second.size == 1 }
    same("both", [@got.pop, second.pop], %w[two two])
    @server.pubsub.unsubscribe("answers", callback)
    @server.broadcast("questions", "one")
    eventually("one callback") { @got.size == 1 }
    same("one", [@got.pop, second.size], ["one", 0])
  end

  def unsubscribed
    @server.pubsub.unsubscribe("answers", @answers)
    eventually("unsubscribed") { subscribers("answers").zero? }
    @server.pubsub.shutdown
    eventually("the end of the listener") { subscribers("other").zero? && @redis.pubsub(:channels, "apps:*") == ["apps:questions"] }
  end
end

def use(host, port)
  checks = { "two servers subscribe" => :subscribed, "a broadcast reaches the other server" => :answered, "many broadcasts" => :many,
             "two callbacks share a subscription" => :shared, "unsubscribe and shut down" => :unsubscribed }
  report = { version: "#{ActionCable::VERSION::STRING}, redis-rb #{Redis::VERSION}", checks: [], ok: true }
  scenario = Scenario.new(host, port)
  checks.each do |name, method|
    scenario.public_send(method)
    report[:checks] << { name: name, ok: true }
  rescue StandardError => e
    report[:checks] << { name: name, ok: false, error: "#{e.class}: #{e.message}" }
    report[:ok] = false
    break
  end
  puts JSON.generate(report)
  exit(report[:ok])
end

host, port, _variant, role = ARGV
role == "serve" ? serve(host, Integer(port)) : use(host, Integer(port))
