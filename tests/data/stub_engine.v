// Byte protocol of the engine around a small memory, without an array: RUN counts to 100.
module subbyte_engine (
    input clk, input rst,
    input [7:0] i__payload, input i__valid, output i__ready,
    output [7:0] o__payload, output o__valid, input o__ready,
    output busy
);
    localparam HEADER = 0, WRITE = 1, READ = 2, RUN = 3, ANSWER = 4;
    reg [7:0] memory [0:8191];
    reg [2:0] state = HEADER;
    reg [2:0] index = 0;
    reg [39:0] header = 0;
    reg [7:0] left = 0;
    reg [23:0] address = 0;
    reg [31:0] answer = 0;
    wire [39:0] next = {i__payload, header[39:8]};
    assign i__ready = state == HEADER || state == WRITE;
    assign o__valid = state == READ || state == ANSWER;
    assign o__payload = state == ANSWER ? answer[7:0] : memory[address[12:0]];
    assign busy = state == RUN;
    always @(posedge clk)
        if (rst) begin
            state <= HEADER;
            index <= 0;
        end else case (state)
            HEADER: if (i__valid) begin
                header <= next;
                index <= index + 1;
                if (index == 4) begin
                    index <= 0;
                    left <= next[7:0];
                    address <= next[31:8];
                    answer <= 32'hb1efbead;
                    case (next[33:32])
                        0: state <= WRITE;
                        1: state <= READ;
                        2: state <= RUN;
                        3: state <= ANSWER;
                    endcase
                end
            end
            WRITE: if (i__valid) begin
                memory[address[12:0]] <= i__payload;
                address <= address + 1;
                left <= left - 1;
                if (left == 0) state <= HEADER;
            end
            READ: if (o__ready) begin
                address <= address + 1;
                left <= left - 1;
                if (left == 0) state <= HEADER;
            end
            RUN: begin
                address <= address + 1;
                if (address == 99) begin
                    answer <= address + 1;
                    state <= ANSWER;
                end
            end
            default: if (o__ready) begin
                answer <= answer >> 8;
                left <= left - 1;
                if (left == 0) state <= HEADER;
            end
        endcase
endmodule
